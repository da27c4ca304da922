"""Readers resize maps without torch: theirs against the jobs' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtljobs.explain import maps
from mtljobs.results.maps import upsample


@pytest.mark.parametrize(
    ("cams", "size"),
    [((9, 12), (288, 384)), ((37, 49), (288, 384)), ((18, 24), (9, 12)), ((5, 7), (33, 41)),
     ((2, 2), (64, 64)), ((1, 1), (8, 8)), ((24, 32), (24, 32))],
)  # fmt: skip
def test_a_reader_gets_the_map_that_was_judged(
    cams: tuple[int, int], size: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).random((1, 13, *cams), dtype=np.float32)
    judged = maps.upsample(torch.from_numpy(values), size)
    np.testing.assert_allclose(upsample(values, size), judged.numpy(), rtol=0, atol=2.4e-7)
