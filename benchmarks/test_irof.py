"""IROF against bare forward passes of the same one-task network: what the engine costs on top.

    python benchmarks/test_irof.py

prints both rates and their ratio, measured alternately in one run. As a test it runs once, small,
and holds that both sides push the same number of images through the network.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtljobs.contracts import Explained
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.explain import IROF, SLIC
from mtljobs.settings.models import SegNetMTAN
from mtljobs.settings.tasks import Depth


@dataclass
class Comparison:
    """Seconds and images of either side."""

    engine_s: float = 0.0
    engine_images: int = 0
    bare_s: float = 0.0
    bare_images: int = 0

    @property
    def ratio(self) -> float:
        """Images per second of the engine over those of the bare network."""
        return (self.engine_images / self.engine_s) / (self.bare_images / self.bare_s)


class CountingNetwork:
    """One task of SegNet-MTAN, counting the images that go through it."""

    def __init__(self, *, width: float) -> None:
        torch.manual_seed(0)
        choice = SegNetMTAN(name="segnet_mtan", width=width)
        self.model = build(choice, channels={"depth": 1}, widths=None).eval().requires_grad_(False)
        self.images = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        prediction: Tensor = self.model(images, ("depth",))["depth"]
        return prediction


def compare(*, size: int, width: float, batch: int, rounds: int) -> Comparison:
    """Explain one image `rounds` times, and push as many images through the bare network."""
    torch.set_num_threads(1)
    rooms = Rooms(name="rooms", size=(size, size), train=1, test=1)
    sample = build(rooms, info=rooms.info(), split="test", root=None)[0]
    task = build(Depth(name="depth"), info=rooms.info())
    segments = build(SLIC(name="slic")).segments(sample["image"])
    engine = build(IROF(name="irof"), batch=batch)
    network = CountingNetwork(width=width)
    image = torch.from_numpy(sample["image"])
    with torch.inference_mode():
        clean = network(image[None])
        masks = task.group_masks(clean)
    maps = torch.from_numpy(
        np.random.default_rng(0).random((masks.shape[1], size, size), "float32")
    )
    found = Comparison()
    for _ in range(rounds):
        network.images, begin = 0, time.perf_counter()
        explained = Explained(image, clean[0], masks[0], maps, segments)
        list(engine.curves(network, task.score, [explained]))
        found.engine_s += time.perf_counter() - begin
        found.engine_images += network.images
        batches = network.images // batch
        network.images, begin = 0, time.perf_counter()
        with torch.inference_mode():
            for _ in range(batches):
                network(image.expand(batch, -1, -1, -1).clone())
        found.bare_s += time.perf_counter() - begin
        found.bare_images += network.images
    return found


def test_engine_and_bare_network_see_the_same_number_of_images() -> None:
    found = compare(size=32, width=1 / 16, batch=16, rounds=1)
    assert found.engine_images == found.bare_images > 0
    assert found.ratio > 0


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread")
    for batch in (16, 64):
        result = compare(size=64, width=1 / 16, batch=batch, rounds=5)
        print(
            f"batch {batch}: engine {result.engine_images / result.engine_s:.0f} images/s, bare "
            f"{result.bare_images / result.bare_s:.0f}, ratio {result.ratio:.3f}"
        )
