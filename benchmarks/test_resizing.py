"""Enlargement by two matrix products against torch's bilinear interpolation, forward and backward.

    python benchmarks/test_resizing.py

prints milliseconds of both at the sizes that SegNet-MTAN has at 288 x 384 and at 128 x 256,
measured alternately in one run, and what the difference is of a whole training step. As a test it
runs once, small, and holds that both give the same numbers.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mtljobs.models.resizing import enlarge
from mtljobs.models.segnet_mtan import SegNetMTAN

CHANNELS = (64, 128, 256, 512, 512)
"""Of what is enlarged from 1/2 of the image's resolution, from 1/4, ... from 1/32."""


def torchs_own(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)


def seconds(function: Callable[[Tensor], Tensor], features: Tensor) -> float:
    leaf = features.clone().requires_grad_()
    begin = time.perf_counter()
    enlarged = function(leaf)
    enlarged.backward(torch.ones_like(enlarged))
    return time.perf_counter() - begin


def compare(shape: tuple[int, ...], *, rounds: int) -> tuple[float, float]:
    """Least seconds of one forward and backward pass, ours and torch's."""
    features = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    pairs = [(seconds(enlarge, features), seconds(torchs_own, features)) for _ in range(rounds)]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    return ours, theirs


def step_seconds(size: tuple[int, int], channels: dict[str, int]) -> float:
    """One forward and backward pass of the whole network at full width, for one image."""
    network = SegNetMTAN(width=1.0, pool_ties="torch", channels=channels, widths=None)
    image = torch.rand(1, 3, *size)
    begin = time.perf_counter()
    predictions = network(image, network.tasks)
    torch.stack([values.mean() for values in predictions.values()]).sum().backward()
    return time.perf_counter() - begin


def test_both_ways_give_the_same_numbers() -> None:
    ours, theirs = compare((1, 2, 3, 4), rounds=1)
    assert ours > 0
    assert theirs > 0
    features = torch.rand(1, 2, 3, 4)
    torch.testing.assert_close(enlarge(features), torchs_own(features), atol=1e-6, rtol=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread")
    for size, tasks in (
        ((288, 384), {"segmentation": 13, "depth": 1, "normals": 3}),
        ((128, 256), {"segmentation": 7, "depth": 1}),
    ):
        total = 0.0
        for k, channels in enumerate(CHANNELS, start=1):
            shape = (1, channels, size[0] >> k, size[1] >> k)
            ours, theirs = compare(shape, rounds=9)
            total += ours - theirs
            print(f"{shape}: ours {ours * 1e3:.2f} ms, torch's {theirs * 1e3:.2f}")
        step = step_seconds(size, tasks)
        print(
            f"{size}: {len(tasks)} tasks, {total * len(tasks):+.2f} s of a step of {step:.1f} s: "
            f"{total * len(tasks) / step:+.1%}"
        )
