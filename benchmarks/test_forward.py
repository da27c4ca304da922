"""How an explanation's forward passes can be computed: what each way gains, and what it changes.

    python benchmarks/test_forward.py

prints for every way the seconds of one image, as a ratio of exact float32 at batch 1 with the same
threads, and how far its curves are from the exact ones at most: the curves start at 1. All ways
take turns in one run, each counts by its fastest round. TF32 changes nothing on a CPU.

As a test it runs once, small, and holds that all ways but bfloat16 give the exact curves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.scene import Size, depth, explain_depth, fastest, machine, segnet
from mtljobs.contracts import Explained
from mtljobs.settings import build
from mtljobs.settings.explain import IROF, Forward

WAYS = {
    "exact": Forward(),
    "tf32": Forward(precision="tf32"),
    "bfloat16": Forward(precision="bfloat16"),
    "folded": Forward(folded=True),
    "channels-last": Forward(channels_last=True),
    "folded, channels-last": Forward(folded=True, channels_last=True),
    "compiled": Forward(compiled=True),
    "folded, channels-last, compiled": Forward(folded=True, channels_last=True, compiled=True),
}


def curves(forward: Any, explained: Explained, *, batch: int) -> np.ndarray:
    """The curves of the image's groups, along `group step`."""
    engine = build(IROF(name="irof"), batch=batch)
    found = engine.curves(
        lambda images: forward(images, ("depth",))["depth"], depth(bins=1).score, [explained]
    )
    return np.stack([curve.scores for curve in next(found) if curve.status == 1])


def compare(
    ways: dict[str, Forward], *, size: Size, width: float, batch: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Way -> seconds per image, and largest deviation of a curve from exact float32 at batch 1."""
    network = segnet(width=width, size=size, tasks=1)
    explained = explain_depth(lambda images: network(images, ("depth",))["depth"], size, segments=8)
    image = explained.image[None]
    images = image.expand(batch, -1, -1, -1).contiguous()
    forwards = {
        name: build(way, network=network, example=(image, ("depth",))) for name, way in ways.items()
    }
    exact = curves(network, explained, batch=1)
    deviations = {
        name: float(np.abs(curves(forward, explained, batch=batch) - exact).max())
        for name, forward in forwards.items()
    }
    seconds = fastest(
        {
            name: lambda forward=forward: forward(images, ("depth",))  # type: ignore[misc]
            for name, forward in forwards.items()
        },
        rounds=rounds,
    )
    return {name: (seconds[name] / batch, deviations[name]) for name in ways}


def report(ways: dict[str, Forward], *, size: Size, batches: tuple[int, ...]) -> None:
    alone = 0.0
    for batch in batches:
        found = compare(ways, size=size, width=1.0, batch=batch, rounds=3)
        alone = alone or found["exact"][0]
        for name, (seconds, deviation) in found.items():
            print(
                f"  {size[0]} x {size[1]}, batch {batch:2}, {name}: {seconds:.3f} s an image, "
                f"{alone / seconds:.2f} x, deviation {deviation:.1e}"
            )


def test_all_ways_but_bfloat16_give_the_exact_curves() -> None:
    torch.set_num_threads(1)
    ways = {name: way for name, way in WAYS.items() if not way.compiled}  # that takes a minute
    found = compare(ways, size=(32, 32), width=1 / 16, batch=4, rounds=1)
    assert found.keys() == ways.keys()
    assert all(seconds > 0 for seconds, _ in found.values())
    assert max(deviation for name, (_, deviation) in found.items() if name != "bfloat16") < 1e-3
    assert 0 < found["bfloat16"][1] < 0.5


if __name__ == "__main__":
    for count in (1, 2):
        torch.set_num_threads(count)
        print(machine())
        few = {name: WAYS[name] for name in ("exact", "folded, channels-last")}
        report(few, size=(128, 256), batches=(1, 2, 4, 8, 16, 32, 64))
    # Small: a CPU without instructions for bfloat16 takes thirty times as long.
    report(WAYS, size=(32, 64), batches=(1,))
