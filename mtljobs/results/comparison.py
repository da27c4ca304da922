"""Each sparsity against the dense network, image by image, and where the decline begins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

import numpy as np
import xarray as xr
from scipy import stats

from mtljobs.results.bootstrap import GROUP_RESAMPLES, RESAMPLES, spread_over_images
from mtljobs.results.items import read_items
from mtljobs.results.run import Place

ALPHA = 0.05
"""A comparison is significant where its corrected p is below this."""


@dataclass(frozen=True)
class Comparison:
    """AOC of one task at one sparsity beside the dense network's.

    Only pairs count: items (seed, image, group) that have a curve in both networks of one seed.
    Items whose map vanished in the sparse network are in no pair, so read `items` beside the rest.
    All that follows is of one number per image, the mean of (sparse - dense) over its pairs:
    **negative where faithfulness fell**, and each image with the same weight.

    Attributes:
        group: None: all groups.
        items: How many pairs there are.
        images: How many images they come from. With fewer than 6, no p of the exact test is below
            0.05, whatever the differences.
        difference: Mean over images; NaN without any.
        low: Lower end of its 95 % bootstrap interval over images; NaN with fewer than 2.
        high: Its upper end.
        shift: Median difference, as Hodges and Lehmann estimate it.
        effect: Matched-pairs rank-biserial correlation: share of the rank sum in favour of a rise
            minus that of a fall; -1 where every image fell, 0 where rises and falls balance.
        p: Of Wilcoxon's signed-rank test, two-sided; NaN without any image.
        p_holm: The same, corrected by Holm for all comparisons of the experiment.
    """

    experiment: str
    task: str
    group: str | None
    sparsity: float
    items: int
    images: int
    difference: float
    low: float
    high: float
    shift: float
    effect: float
    p: float
    p_holm: float

    @property
    def is_decline(self) -> bool:
        """Whether faithfulness fell significantly."""
        return self.p_holm < ALPHA and self.effect < 0


@dataclass(frozen=True)
class Decline:
    """The sparsity from which on faithfulness is significantly below the dense network's.

    Attributes:
        group: None: all groups.
        sparsity: The smallest one where the comparison, and that of every larger sparsity, is a
            significant decline; None where even the largest is none. A sparsity that has no pair
            was not measured, and decides nothing.
        compared: The sparsities measured.
    """

    experiment: str
    task: str
    group: str | None
    sparsity: float | None
    compared: tuple[float, ...]


def compare(run: xr.DataTree, *, by_group: bool = False) -> tuple[Comparison, ...]:
    """Paired comparisons of every sparsity with sparsity 0, per experiment and task.

    They are about other images, not about other trainings: an image's number is the mean over
    the seeds that there are. An experiment without a dense network has none.

    Args:
        run: As `open_run` gives it, or a selection that keeps its axes: `run.sel(seed=[0])`.
        by_group: A row per group instead of one for all; the family of the correction grows.

    Raises:
        CorruptionError: An item's status says ok, and it has no curve.

    Source:
        Signed-rank test: Wilcoxon 1945 by scipy, with Pratt's (1959) treatment of differences of
        zero, which are ranked and then count for neither side; two networks that do not differ in
        any image have p = 1. Exact without zeros and ties up to 50 images, and up to 13 with
        them; else the normal approximation. Effect: Kerby 2014 (doi:10.2466/11.IT.3.1), on the
        same ranks. Median: Hodges & Lehmann 1963, median of the means of all pairs of images,
        each with itself too. Correction: see `holm`.
    """
    return compare_items(read_items(run), by_group=by_group)


def compare_items(
    items: Mapping[Place, xr.Dataset], *, by_group: bool = False
) -> tuple[Comparison, ...]:
    """`compare` of items as `read_items` gives them."""
    rows = [
        row
        for (experiment, task), areas in items.items()
        for row in _of_task(experiment, task, areas, by_group=by_group)
    ]
    families = [list(rows) for _, rows in groupby(rows, key=lambda row: row.experiment)]
    return tuple(
        replace(row, p_holm=p)
        for family in families
        for row, p in zip(family, holm([row.p for row in family]), strict=True)
    )


def declines(comparisons: Iterable[Comparison]) -> tuple[Decline, ...]:
    """From which sparsity on faithfulness declined: a row per experiment, task and group."""
    families: dict[tuple[str, str, str | None], list[Comparison]] = {}
    for row in comparisons:
        families.setdefault((row.experiment, row.task, row.group), []).append(row)
    return tuple(_decline(rows) for rows in families.values())


def holm(p: Sequence[float]) -> list[float]:
    """Corrected p of a family of tests; NaN is no test.

    Holm keeps the chance of any false alarm in the family below the level however the tests
    depend on each other, and ours do: they share the dense network and the images. It is never
    less powerful than Bonferroni. The false discovery rate (Benjamini & Hochberg), which scipy
    has, promises less than the claim "faithfulness declines from here on" asks for.

    Source:
        Holm 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm([0.04, 0.01, math.nan, 0.03])
        [0.06, 0.03, nan, 0.06]
    """
    raw = np.array(p, float)
    order = np.argsort(raw)  # NaN last
    left = np.count_nonzero(~np.isnan(raw)) - np.arange(raw.size)  # not rejected yet
    corrected = np.empty(raw.size)
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * left), 1.0)
    return [float(value) for value in corrected]


def _of_task(
    experiment: str, task: str, items: xr.Dataset, *, by_group: bool
) -> Iterator[Comparison]:
    """The comparisons of a task, not corrected yet."""
    areas = items.variables["aoc"].transpose("sparsity", "group", "image", "seed").values
    sparsities = items["sparsity"].values.tolist()
    if 0.0 not in sparsities:
        return
    differences = areas - areas[sparsities.index(0.0)]
    groups = {None: slice(None)}
    if by_group:
        groups = {str(name): slice(at, at + 1) for at, name in enumerate(items["group"].values)}
    for group, chosen in groups.items():
        for sparsity, pairs in zip(sparsities, differences[:, chosen], strict=True):
            if sparsity > 0:
                yield _comparison(experiment, task, group, sparsity, pairs)


def _comparison(
    experiment: str, task: str, group: str | None, sparsity: float, pairs: np.ndarray
) -> Comparison:
    """A comparison, not corrected yet.

    Args:
        pairs: Differences by group, image, seed; NaN where either network has no curve.
    """
    is_pair = ~np.isnan(pairs)
    counts = is_pair.sum(axis=(0, 2))
    sums = pairs.sum(axis=(0, 2), where=is_pair)
    # Sorted, as no number may depend on the order of the images, not even the bootstrap's draws.
    images = np.sort(sums[counts > 0] / counts[counts > 0])
    spread = spread_over_images(
        images, np.ones(images.size), resamples=RESAMPLES if group is None else GROUP_RESAMPLES
    )
    return Comparison(
        experiment=experiment,
        task=task,
        group=group,
        sparsity=sparsity,
        items=int(counts.sum()),
        images=images.size,
        difference=float(images.mean()) if images.size else math.nan,
        low=spread.low,
        high=spread.high,
        shift=_shift(images),
        effect=_effect(images),
        p=_p(images),
        p_holm=math.nan,
    )


def _shift(differences: np.ndarray) -> float:
    """Hodges and Lehmann's estimate of the median difference."""
    if not differences.size:
        return math.nan
    first, second = np.triu_indices(differences.size)
    return float(np.median((differences[first] + differences[second]) / 2))


def _effect(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation; differences of zero are ranked, and neutral."""
    if not differences.size:
        return math.nan
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


def _p(differences: np.ndarray) -> float:
    if not differences.size:
        return math.nan
    if not differences.any():  # scipy has no answer: nothing is left to rank
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def _decline(rows: Sequence[Comparison]) -> Decline:
    measured = sorted((row for row in rows if row.images), key=lambda row: row.sparsity)
    declined = list(takewhile(lambda row: row.is_decline, reversed(measured)))
    first = rows[0]
    return Decline(
        first.experiment,
        first.task,
        first.group,
        sparsity=declined[-1].sparsity if declined else None,
        compared=tuple(row.sparsity for row in measured),
    )
