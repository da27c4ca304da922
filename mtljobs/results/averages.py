"""The average AOC of many items, with its spread over images and over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mtljobs.contracts import STATUS
from mtljobs.results.bootstrap import GROUP_RESAMPLES, RESAMPLES, spread_over_images

REACHED = {
    "parameters": "parameters removed",
    "shared": "shared weights removed",
    "branches": "branch weights removed",
}
"""What a sparsity is reported of, as `sparsity_*` in the store, and what people call it."""

OK = 1
"""The code of `STATUS` that averages are over."""


@dataclass(frozen=True)
class Average:
    """AOC of one task at one sparsity, over all seeds, images and groups, or over one group.

    Attributes:
        group: None: all groups.
        reached: Share that is really gone, mean over seeds, of each of `REACHED` that is known.
        mean: Over all items with status 1, each with the same weight; NaN where there is none.
        low: Lower end of the 95 % bootstrap interval over images; NaN with fewer than 2 images.
        high: Its upper end.
        standard_error: Of the mean, by the same bootstrap: the items of an image are a cluster.
        quantus: Mean of Quantus's number over the same items; NaN where the measure is not IROF.
        items: How many items the mean is over.
        images: How many images they come from.
        seed_mean: Mean over seeds of each seed's mean over its items.
        seed_std: Sample standard deviation over seeds of the same; NaN with fewer than 2.
        seeds: How many seeds have any item.
        counts: Items of the planned cells per code of `STATUS`.
    """

    experiment: str
    task: str
    group: str | None
    sparsity: float
    reached: Mapping[str, float]
    mean: float
    low: float
    high: float
    standard_error: float
    quantus: float
    items: int
    images: int
    seed_mean: float
    seed_std: float
    seeds: int
    counts: Mapping[int, int]


def average(
    items: xr.Dataset,
    *,
    experiment: str,
    task: str,
    group: str | None = None,
    reached: Mapping[str, float],
) -> Average:
    """The average over items (seed, image, group) of one sparsity.

    Args:
        items: `aoc`, `quantus` and `status`.
        group: The one to average over; None: all.

    Source:
        The unit that `spread_over_images` draws is the image, with all its items of all groups and
        seeds, since these are not independent; the statistic is (sum of AOC) / (number of items),
        so that the point estimate is the plain mean over items. It speaks for other images, not
        for other seeds: see `seed_std`.
    """
    axes = ("image", "group", "seed")
    chosen = slice(None) if group is None else items.variables["group"].values == group
    areas, quantus, status = (
        items.variables[name].transpose(*axes).values[:, chosen]
        for name in ("aoc", "quantus", "status")
    )
    ok = status == OK
    per_image = ok.sum(axis=(1, 2))
    spread = spread_over_images(
        areas.sum(axis=(1, 2), where=ok),
        per_image,
        resamples=RESAMPLES if group is None else GROUP_RESAMPLES,
    )
    by_seed = [areas[..., seed][ok[..., seed]].mean() for seed in np.flatnonzero(ok.any((0, 1)))]
    return Average(
        experiment=experiment,
        task=task,
        group=group,
        sparsity=float(items.variables["sparsity"].values),
        reached=reached,
        mean=_mean(areas[ok]),
        **spread._asdict(),
        quantus=_mean(quantus[ok]),
        items=int(ok.sum()),
        images=int(np.count_nonzero(per_image)),
        seed_mean=_mean(np.array(by_seed)),
        seed_std=float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else math.nan,
        seeds=len(by_seed),
        counts={code: int(np.count_nonzero(status == code)) for code in STATUS},
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
