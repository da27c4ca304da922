"""How far a mean over images would move with other images."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 9999
GROUP_RESAMPLES = 1999
"""Bootstrap samples behind an interval over all groups, and over one of many groups."""


class Spread(NamedTuple):
    """What the bootstrap says of a mean; all NaN with fewer than two images.

    Attributes:
        low: Lower end of the 95 % interval.
        high: Its upper end.
        standard_error: Of the mean.
    """

    low: float
    high: float
    standard_error: float


def spread_over_images(sums: np.ndarray, counts: np.ndarray, *, resamples: int) -> Spread:
    """Spread of sum(sums) / sum(counts) when images are drawn with replacement.

    Images without any item are not drawn: they say nothing about the mean.

    Args:
        sums: Sum over the items of each image.
        counts: Number of items of each image.

    Returns:
        The same on every call.

    Source:
        Percentile bootstrap and bootstrap standard error (Efron & Tibshirani 1993, ch. 6 and 13).
        The draws are those of `scipy.stats.bootstrap`, so the numbers are too; but a sample is
        taken as how often it holds each image, which serves every mean over as many images.
    """
    drawn = counts > 0
    images = np.count_nonzero(drawn)
    if images < 2:
        return Spread(math.nan, math.nan, math.nan)
    totals = _draws(images, resamples) @ np.stack([sums[drawn], counts[drawn]], axis=1)
    means = totals[:, 0] / totals[:, 1]
    low, high = np.quantile(means, [0.025, 0.975])
    return Spread(float(low), float(high), float(means.std(ddof=1)))


@lru_cache(maxsize=128)
def _draws(images: int, resamples: int) -> np.ndarray:
    """How often each sample (row) holds each image (column)."""
    drawn = np.random.default_rng(0).integers(0, images, (resamples, images))
    drawn += images * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=drawn.size)
    return counts.reshape(drawn.shape).astype("uint8")
