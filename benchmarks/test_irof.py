"""IROF against bare forward passes of the same one-task network: what the engine costs on top.

    python benchmarks/test_irof.py

prints both rates and their ratio, and what share of the whole is not the network's: SLIC, and
everything that the engine does between two calls. Measured alternately in one run. As a test it
runs once, small, and holds that both sides push the same number of images through the network.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.scene import Size, depth, explain_depth, machine, picture, segnet
from mtljobs.settings import build
from mtljobs.settings.explain import IROF, SLIC
from mtljobs.stages.memory import keep_freed_memory


@dataclass
class Comparison:
    """Seconds and images of either side, and seconds of what stands beside the network."""

    engine_s: float = 0.0
    engine_images: int = 0
    inside_s: float = 0.0
    slic_s: float = 0.0
    bare_s: float = 0.0
    bare_images: int = 0

    @property
    def ratio(self) -> float:
        """Images per second of the engine over those of the bare network."""
        return (self.engine_images / self.engine_s) / (self.bare_images / self.bare_s)

    @property
    def beside(self) -> float:
        """Share of SLIC, ordering, fill, scores and bookkeeping in the time of an explanation."""
        whole = self.slic_s + self.engine_s
        return 1 - self.inside_s / whole


class TimedNetwork:
    """One task of a network, timed, counting the images that go through it."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.images = 0
        self.seconds = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        begin = time.perf_counter()
        prediction: Tensor = self._network(images, ("depth",))["depth"]
        self.seconds += time.perf_counter() - begin
        self.images += len(images)
        return prediction


def compare(*, size: Size, width: float, batch: int, segments: int, rounds: int) -> Comparison:
    """Explain one image `rounds` times, and push as many images through the bare network."""
    network = segnet(width=width, size=size, tasks=1)
    explained = explain_depth(TimedNetwork(network), size, segments=segments, bins=1)
    slic, image = build(SLIC(name="slic", n_segments=segments)), picture(size)
    engine = build(IROF(name="irof"), batch=batch)
    found = Comparison()
    for _ in range(rounds):
        begin = time.perf_counter()
        slic.segments(image)
        found.slic_s += time.perf_counter() - begin
        timed, begin = TimedNetwork(network), time.perf_counter()
        list(engine.curves(timed, depth(bins=1).score, [explained]))
        found.engine_s += time.perf_counter() - begin
        found.engine_images += timed.images
        found.inside_s += timed.seconds
        images = explained.image.expand(batch, -1, -1, -1).contiguous()
        bare = TimedNetwork(network)
        with torch.inference_mode():
            while bare.images < timed.images:
                bare(images)
        found.bare_s += bare.seconds
        found.bare_images += bare.images
    return found


def test_engine_and_bare_network_see_the_same_number_of_images() -> None:
    torch.set_num_threads(1)
    found = compare(size=(32, 32), width=1 / 16, batch=1, segments=8, rounds=1)
    assert found.engine_images == found.bare_images > 0
    assert found.ratio > 0
    assert 0 < found.beside < 1


if __name__ == "__main__":
    keep_freed_memory()  # as every stage does
    torch.set_num_threads(1)
    print(machine())
    for shape, factor in (((64, 64), 1 / 16), ((128, 256), 1 / 4)):
        for own in (1, 4, 16, 64):
            result = compare(size=shape, width=factor, batch=own, segments=100, rounds=2)
            print(
                f"{shape[0]} x {shape[1]}, width {factor:g}, batch {own}: engine "
                f"{result.engine_images / result.engine_s:.1f} images/s, bare "
                f"{result.bare_images / result.bare_s:.1f}, ratio {result.ratio:.3f}, beside the "
                f"network {result.beside:.1%}"
            )
