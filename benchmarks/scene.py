"""What benchmarks of explanations share: a network, an image to explain, and a clock."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Explained, Task
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.explain import SLIC
from mtljobs.settings.models import SegNetMTAN
from mtljobs.settings.tasks import Depth

Size = tuple[int, int]
"""(rows, columns) of images."""


def machine() -> str:
    """Where numbers come from."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    device = names[0] if names else platform.machine()
    return f"{len(names)} x {device}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def fastest(calls: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Seconds of each call, the least of some rounds in which all take turns."""
    least = dict.fromkeys(calls, float("inf"))
    with torch.inference_mode():
        for _ in range(rounds):
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                least[name] = min(least[name], time.perf_counter() - begin)
    return least


def picture(size: Size, *, index: int = 0) -> np.ndarray:
    """A synthetic room, `channel row column`."""
    rooms = Rooms(name="rooms", size=size, train=1, test=index + 1)
    image: np.ndarray = build(rooms, info=rooms.info(), split="test", root=None)[index]["image"]
    return image


def depth(*, bins: int = 5) -> Task:
    """The task that is explained."""
    task: Task = build(Depth(name="depth", bins=bins), info=Rooms(name="rooms").info())
    return task


def segnet(*, width: float, size: Size, tasks: int) -> Any:
    """A SegNet-MTAN of random weights for depth and up to two more tasks.

    A pass in training mode gives its batch norms the statistics of an image; without, features
    fade from layer to layer. The head is scaled to depths about 0.5 that deviate by 0.1.
    """
    torch.manual_seed(0)
    channels = dict([("depth", 1), ("segmentation", 13), ("normals", 3)][:tasks])
    choice = SegNetMTAN(name="segnet_mtan", width=width)
    network = build(choice, channels=channels, widths=None).requires_grad_(False)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    images = torch.from_numpy(picture(size))[None]
    network(images, network.tasks)
    found = network.eval()(images, ("depth",))["depth"]
    head = network.branches["depth"].head.output
    head.weight /= 10 * found.std()
    head.bias.copy_(0.5 + (head.bias - found.mean()) / (10 * found.std()))
    return network


def explain_depth(
    predict: Callable[[Tensor], Tensor], size: Size, *, segments: int, bins: int = 5
) -> Explained:
    """An image with a random map for each bin of its depth."""
    image = picture(size)
    with torch.inference_mode():
        clean = predict(torch.from_numpy(image)[None])
    masks = depth(bins=bins).group_masks(clean)[0]
    return Explained(
        image=torch.from_numpy(image),
        clean=clean[0],
        masks=masks,
        maps=torch.rand(len(masks), *size, generator=torch.Generator().manual_seed(0)),
        segments=build(SLIC(name="slic", n_segments=segments)).segments(image),
    )
