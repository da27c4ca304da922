"""Whether better networks, and images that are predicted better, are explained more faithfully."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import xarray as xr
from scipy import stats

from mtljobs.results.items import read_items
from mtljobs.results.performance import Performance, read_performance
from mtljobs.results.run import Place, task_nodes

FEWEST_POINTS = 4
ORDERS = math.factorial(7)
"""Orders of the networks that p is from: all that 7 networks have, as many random ones of more."""


@dataclass(frozen=True)
class Correlation:
    """Faithfulness and one metric of one task, across the networks of an experiment.

    Attributes:
        lower_is_better: The metric is an error; the sign of `rho` is turned already.
        networks: (sparsity, seed) with both a mean AOC and the metric.
        rho: Spearman's, in [-1, 1]: **positive where better performance goes with more faithful
            explanations**. NaN with fewer than 4 networks, or where either is the same for all.
        p: Two-sided, not corrected for the number of metrics.
    """

    experiment: str
    task: str
    metric: str
    lower_is_better: bool
    networks: int
    rho: float
    p: float


@dataclass(frozen=True)
class ImageCorrelation:
    """Faithfulness and one metric of one task, across the images of one network.

    Attributes:
        lower_is_better: The metric is an error; the sign of `rho` is turned already.
        images: With both an item that has a curve and the metric.
        rho: As `Correlation.rho`, over images; NaN with fewer than 4.
    """

    experiment: str
    task: str
    metric: str
    lower_is_better: bool
    sparsity: float
    seed: int
    images: int
    rho: float


def correlate(run: xr.DataTree) -> tuple[Correlation, ...]:
    """Correlation of mean AOC with every metric, a point per network (sparsity, seed).

    It describes one study's networks: both numbers depend on the sparsity, and the networks of
    one seed descend from one training, so it is no proof that either causes the other, and p
    takes the networks for exchangeable.

    Args:
        run: As `open_run` gives it, or a selection that keeps its axes: `run.sel(seed=[0])`.

    Raises:
        CorruptionError: An item's status says ok, and it has no curve.

    Source:
        Spearman 1904, as Pearson's correlation of (mean) ranks, and a permutation test, by
        scipy: exact up to 7 networks, above these 5040 random orders, the same on every call.
    """
    return correlate_items(read_items(run), read_performance(run))


def correlate_images(run: xr.DataTree) -> tuple[ImageCorrelation, ...]:
    """Correlation of an image's mean AOC with its metrics, a point per image, for every network.

    An image's AOC is the mean over its groups that have one. Networks are not pooled, and there is
    no p: all are explained on the same images, so their correlations are no independent samples.
    Say their median and range.

    Args:
        run: As `open_run` gives it, or a selection that keeps its axes: `run.sel(seed=[0])`.

    Raises:
        CorruptionError: An item's status says ok, and it has no curve.

    Source:
        Spearman 1904, by scipy.
    """
    items = read_items(run)
    return tuple(
        row
        for (experiment, task), node in task_nodes(run)
        for row in _of_images(experiment, task, items[experiment, task]["aoc"], node)
    )


def _of_images(
    experiment: str, task: str, areas: xr.DataArray, node: xr.DataTree
) -> Iterator[ImageCorrelation]:
    arrays = node.to_dataset()
    errors = arrays["performance"].attrs["lower_is_better"].split()
    axes = ("metric", "sparsity", "seed", "image")
    values = arrays["performance_image"].transpose(*axes).load()
    means = areas.mean("group").transpose(*axes[1:]).values
    metrics, sparsities, seeds = (values[axis].values.tolist() for axis in axes[:3])
    for metric, sparsity, seed in np.ndindex(values.shape[:3]):
        is_error = metrics[metric] in errors
        own = values.values[metric, sparsity, seed]
        pairs = np.stack([-own if is_error else own, means[sparsity, seed]], axis=1)
        pairs = pairs[~np.isnan(pairs).any(axis=1)]
        yield ImageCorrelation(
            experiment,
            task,
            metrics[metric],
            is_error,
            sparsities[sparsity],
            seeds[seed],
            images=len(pairs),
            rho=float(stats.spearmanr(pairs).statistic) if _has_order(pairs) else math.nan,
        )


def correlate_items(
    items: Mapping[Place, xr.Dataset], performance: Iterable[Performance]
) -> tuple[Correlation, ...]:
    """`correlate` of items as `read_items` gives them; metrics of a task follow one another."""
    means = {place: dict(_means(areas)) for place, areas in items.items()}
    by_metric = groupby(performance, key=lambda row: (row.experiment, row.task, row.metric))
    return tuple(
        _correlation(list(rows), means[experiment, task])
        for (experiment, task, _), rows in by_metric
    )


def _means(items: xr.Dataset) -> Iterator[tuple[tuple[float, int], float]]:
    """(Sparsity, seed) -> mean AOC over its items, of the networks that have any."""
    areas = items.variables["aoc"].transpose("sparsity", "seed", "image", "group").values
    for row, sparsity in enumerate(items["sparsity"].values.tolist()):
        for column, seed in enumerate(items["seed"].values.tolist()):
            known = areas[row, column][~np.isnan(areas[row, column])]
            if known.size:
                yield (sparsity, seed), float(known.mean())


def _correlation(
    rows: list[Performance], faithfulness: Mapping[tuple[float, int], float]
) -> Correlation:
    pairs = [
        (-row.value if row.lower_is_better else row.value, faithfulness[row.sparsity, row.seed])
        for row in rows
        if not math.isnan(row.value) and (row.sparsity, row.seed) in faithfulness
    ]
    rho, p = _spearman(np.array(pairs).reshape(-1, 2))
    first = rows[0]
    return Correlation(
        first.experiment,
        first.task,
        first.metric,
        first.lower_is_better,
        networks=len(pairs),
        rho=rho,
        p=p,
    )


def _has_order(pairs: np.ndarray) -> bool:
    """Whether the points are enough to be ranked, and no column is the same for all."""
    return len(pairs) >= FEWEST_POINTS and not (pairs == pairs[0]).all(axis=0).any()


def _spearman(pairs: np.ndarray) -> tuple[float, float]:
    """Rho and p of the two columns."""
    if not _has_order(pairs):
        return math.nan, math.nan
    ranks = stats.rankdata(pairs, axis=0)
    draws = stats.PermutationMethod(n_resamples=ORDERS, rng=np.random.default_rng(0))
    found = stats.pearsonr(ranks[:, 0], ranks[:, 1], method=draws)
    return float(found.statistic), float(found.pvalue)
