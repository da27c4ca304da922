"""Ranks of feature maps by Gram matrices against torch's singular values, as HRank counts them.

    python benchmarks/test_ranks.py

prints the seconds of one processor that both take for maps of the study's sizes, and their ratio,
measured alternately in one run, for maps of full rank and for maps that lack some. As a test it
runs once, small, and holds that both find the same ranks.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from mtljobs.pruning.ranks import numerical_ranks


@dataclass
class Comparison:
    """Seconds of processor time of either side, and whether they agree."""

    gram_s: float = 0.0
    svd_s: float = 0.0
    same: bool = True

    @property
    def ratio(self) -> float:
        """How many times faster the Gram matrices are."""
        return self.svd_s / self.gram_s


def draw(kind: str, *, maps: int, rows: int, columns: int) -> Tensor:
    """Maps as behind a ReLU: "full" of full rank, "dark" with a black half, "smooth" of rank 9."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(maps, rows, columns, generator=generator).relu()
    if kind == "dark":
        noise[:, rows // 2 :] = 0
    if kind == "smooth":
        return noise[:, :, :9] @ noise[:, :9]
    return noise


def compare(maps: Tensor, *, rounds: int) -> Comparison:
    """Rank the same maps both ways, by turns."""
    torch.set_num_threads(1)
    found = Comparison()
    for _ in range(rounds):
        begin = time.process_time()
        ours = numerical_ranks(maps).ranks
        found.gram_s += time.process_time() - begin
        begin = time.process_time()
        theirs = torch.linalg.matrix_rank(maps)
        found.svd_s += time.process_time() - begin
        found.same &= torch.equal(ours, theirs)
    return found


def test_both_sides_find_the_same_ranks() -> None:
    for kind in ("full", "dark", "smooth"):
        found = compare(draw(kind, maps=4, rows=36, columns=48), rounds=1)
        assert found.same
        assert found.ratio > 0


if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread")
    for rows, columns in ((288, 384), (144, 192), (18, 24)):
        for kind in ("full", "dark", "smooth"):
            images = draw(kind, maps=64, rows=rows, columns=columns)
            result = compare(images, rounds=3)
            print(
                f"64 maps of {rows} x {columns}, {kind}: Gram {result.gram_s / 3:.3f} s, singular "
                f"values {result.svd_s / 3:.3f} s, ratio {result.ratio:.1f}, same {result.same}"
            )
