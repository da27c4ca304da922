"""Forward time of narrow networks against dense, beside the multiply-accumulates that are left.

    python benchmarks/test_narrow.py

prints both as fractions of the dense network's, measured alternately in one run. As a test it runs
once, small, and holds that a network with fewer channels computes less.
"""

from __future__ import annotations

import platform
import time
from typing import Any

import torch

from mtljobs.models.complexity import count
from mtljobs.settings import build
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN

CHANNELS = {"segmentation": 13, "depth": 1, "normals": 3}
KEPT = (1.0, 0.5, 0.25)
"""Fractions of the channels of every group."""


def narrowed(choice: SegNetMTAN | DeepLabResNet, kept: float) -> Any:
    """A network with this fraction of the channels of every group, at least one."""
    torch.manual_seed(0)
    groups = choice.channel_groups(tuple(CHANNELS))
    widths = {group.name: max(1, round(group.width * kept)) for group in groups}
    return build(choice, channels=CHANNELS, widths=widths).eval()


def forward_seconds(network: Any, images: torch.Tensor) -> float:
    begin = time.perf_counter()
    with torch.inference_mode():
        network(images, network.tasks)
    return time.perf_counter() - begin


def compare(
    choice: SegNetMTAN | DeepLabResNet, *, size: tuple[int, int], rounds: int
) -> dict[float, tuple[float, float]]:
    """Fraction kept -> (time, multiply-accumulates) as fractions of the dense network's."""
    networks = {kept: narrowed(choice, kept) for kept in KEPT}
    images = torch.rand(4, 3, *size)
    times = {kept: float("inf") for kept in KEPT}
    for _ in range(rounds):
        for kept, network in networks.items():
            times[kept] = min(times[kept], forward_seconds(network, images))
    macs = {
        kept: count(network, size=size, tasks=network.tasks).macs
        for kept, network in networks.items()
    }
    return {kept: (times[kept] / times[1.0], macs[kept] / macs[1.0]) for kept in KEPT}


def test_narrow_networks_compute_less() -> None:
    for choice in (
        SegNetMTAN(name="segnet_mtan", width=1 / 16),
        DeepLabResNet(name="deeplab_resnet", width=1 / 16),
    ):
        found = compare(choice, size=(32, 32), rounds=1)
        assert found[0.25][1] < found[0.5][1] < found[1.0][1] == 1
        assert all(seconds > 0 for seconds, _ in found.values())


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread")
    for choice in (
        SegNetMTAN(name="segnet_mtan", width=1 / 4),
        DeepLabResNet(name="deeplab_resnet", width=1 / 4),
    ):
        for kept, (seconds, macs) in compare(choice, size=(96, 128), rounds=7).items():
            print(f"{choice.name}, {kept:.0%} of channels: time {seconds:.3f}, MACs {macs:.3f}")
