"""What an explanation costs: time by superpixels, image size and groups; memory by items and batch.

    python benchmarks/test_irof_cost.py cost.png

prints the numbers and draws them into the file. Forward passes are what there is to pay: one per
superpixel and group. Peak memory is that of a process of its own per number, so that none finds
what another one left.

As a test it runs once, small, and holds the count of forward passes.
"""

from __future__ import annotations

import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.scene import Size, depth, explain_depth, machine, segnet
from mtljobs.settings import build
from mtljobs.settings.explain import IROF


class Cost(NamedTuple):
    """Of the curves of some images.

    Attributes:
        forwards: Images that the network computed, those that only fill a batch up included.
        seconds: Of everything.
        memory_mb: Peak of the process so far.
    """

    forwards: int
    seconds: float
    memory_mb: float


def cost(
    *, size: Size = (64, 128), width: float = 1 / 8, segments: int = 50, groups: int = 1,
    images: int = 1, batch: int = 8,
) -> Cost:  # fmt: skip
    """What it costs to explain the same image some times over, each group by a map of its own."""
    torch.set_num_threads(1)
    network = segnet(width=width, size=size, tasks=1)
    forwards = 0

    def predict(images: Tensor) -> Tensor:
        nonlocal forwards
        forwards += len(images)
        depths: Tensor = network(images, ("depth",))["depth"]
        return depths

    explained = explain_depth(predict, size, segments=segments, bins=groups)
    # Of a random network's depths some bins are empty: every group gets all pixels.
    explained = replace(explained, masks=torch.ones_like(explained.masks))
    forwards, begin = 0, time.perf_counter()
    engine = build(IROF(name="irof"), batch=batch)
    for _ in engine.curves(predict, depth(bins=groups).score, (explained for _ in range(images))):
        pass
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    return Cost(forwards, seconds, peak)


VARIED = {
    "segments": [25, 50, 100, 200],
    "size": [(32, 64), (64, 128), (96, 192), (128, 256)],
    "groups": [1, 2, 5, 10],
    "images": [1, 2, 4, 8],
    "batch": [1, 4, 16, 64],
}
"""What changes, one at a time, from the defaults of `cost`."""


def measure(name: str, value: object) -> Cost:
    """The cost with one setting changed, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(cost, **{name: value}).result()


def draw(found: dict[str, list[Cost]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 (the test draws nothing)

    figure = Figure(figsize=(3 * len(found), 3), layout="constrained")
    for (name, costs), axes in zip(found.items(), figure.subplots(1, len(found)), strict=True):
        values = [v[0] * v[1] if isinstance(v, tuple) else v for v in VARIED[name]]
        is_memory = name in {"images", "batch"}
        axes.plot(values, [c.memory_mb if is_memory else c.seconds for c in costs], marker="o")
        axes.set(xlabel="pixels" if name == "size" else name, ylim=(0, None))
        axes.set_ylabel("peak memory / MB" if is_memory else "time / s")
    figure.savefig(path)


def test_an_item_costs_one_forward_pass_per_superpixel() -> None:
    one = cost(size=(32, 32), width=1 / 16, segments=8, groups=1, batch=1)
    assert one.forwards > 1
    both = cost(size=(32, 32), width=1 / 16, segments=8, groups=2, images=3, batch=1)
    assert both.forwards == 2 * 3 * one.forwards


if __name__ == "__main__":
    print(machine())
    results = {}
    for setting, choices in VARIED.items():
        results[setting] = [measure(setting, choice) for choice in choices]
        for choice, result in zip(choices, results[setting], strict=True):
            print(
                f"{setting} {choice}: {result.forwards} forwards, {result.seconds:.1f} s, "
                f"{result.memory_mb:.0f} MB"
            )
    draw(results, Path(sys.argv[1]))
