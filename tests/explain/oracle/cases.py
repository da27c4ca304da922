"""Items of networks, random and briefly trained, that every engine is given alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from networks import build_network, build_tasks
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mtljobs.contracts import Explained
from mtljobs.explain.superpixels import SLIC

SIZE = 48
STEPS = 10


@dataclass(frozen=True)
class Case:
    """One item: the group of `explained` that is not empty."""

    architecture: str
    network: nn.Module
    task: str
    group: int
    explained: Explained

    @property
    def score(self):
        return build_tasks()[self.task].score

    def predict(self, images):
        return self.network(images, (self.task,))[self.task]

    def write(self, folder: Path, order: np.ndarray) -> Path:
        """What the oracle needs: a map that falls strictly with the rank, and no superpixels."""
        folder.mkdir()
        (folder / "item.json").write_text(
            json.dumps({"network": self.architecture, "task": self.task, "group": self.group})
        )
        save_file(self.network.state_dict(), folder / "weights.safetensors")
        ranks = np.argsort(order)
        np.savez(
            folder / "arrays.npz",
            image=self.explained.image.numpy(),
            clean=self.explained.clean.numpy(),
            masks=self.explained.masks.numpy(),
            map=(len(order) - ranks).astype(np.float64)[self.explained.segments],
        )
        return folder


def make_image(seed: int) -> np.ndarray:
    """Blocks of one colour, and a little noise."""
    random = np.random.default_rng(seed)
    blocks = np.kron(random.random((3, 8, 8)), np.ones((6, 6)))
    return (0.9 * blocks + 0.1 * random.random((3, SIZE, SIZE))).astype(np.float32)


@cache
def make_network(architecture: str, *, trained: bool) -> nn.Module:
    """A network whose answers depend on the image, or one that also learnt for a few steps."""
    torch.manual_seed(0)
    network = build_network(architecture)
    images = torch.tensor(np.stack([make_image(seed) for seed in range(100, 104)]))
    _settle(network, images)
    optimiser = torch.optim.Adam(network.train().parameters(), lr=1e-3)
    for _ in range(STEPS if trained else 0):
        optimiser.zero_grad()
        predictions = network(images, network.tasks).values()
        sum(map(partial(_loss, images), predictions)).backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def _settle(network: nn.Module, images: Tensor) -> None:
    """Fit what a random network has left to chance to some images: the statistics of its batch
    norms, and the layers without one, whose outputs get the mean 1 and the deviation 1/2."""

    def spread(layer, inputs, output):
        axes = [axis for axis in range(output.ndim) if axis != 1]
        mean, deviation = output.mean(dim=axes), output.std(dim=axes)
        layer.weight /= 2 * deviation.reshape(-1, *[1] * (layer.weight.ndim - 1))
        layer.bias.copy_(1 + (layer.bias - mean) / (2 * deviation))
        return layer.forward(*inputs)

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    hooks = [layer.register_forward_hook(spread) for layer in layers]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        network(images, network.tasks)
    for norm in norms:
        norm.momentum = 0.1
    for hook in hooks:
        hook.remove()


def _loss(images: Tensor, prediction: Tensor) -> Tensor:
    colours = functional.adaptive_avg_pool2d(images, prediction.shape[-2:])
    wanted = colours.repeat(1, 2, 1, 1)[:, : prediction.shape[1]]
    return functional.mse_loss(prediction, wanted)


def make_case(architecture: str, *, trained: bool, task: str) -> Case:
    """The largest group of a task, with a map that ties in places, as Grad-CAM's do."""
    network = make_network(architecture, trained=trained)
    image = make_image(0)
    images = torch.tensor(image)[None]
    with torch.no_grad():
        clean = network(images, (task,))[task]
    masks = build_tasks()[task].group_masks(clean)
    group = int(masks[0].flatten(1).sum(dim=1).argmax())
    alone = torch.zeros_like(masks[0])
    alone[group] = masks[0, group]
    maps = torch.rand(len(alone), SIZE // 4, SIZE // 4).sub(0.5).relu()
    explained = Explained(
        image=images[0],
        clean=clean[0],
        masks=alone,
        maps=functional.interpolate(maps[None], scale_factor=4)[0],
        segments=SLIC(n_segments=100, compactness=10.0).segments(image),
    )
    return Case(architecture, network, task, group, explained)
