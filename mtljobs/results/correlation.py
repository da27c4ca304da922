"""Whether the networks that predict better are the ones whose explanations are more faithful."""

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
from mtljobs.results.run import Place

FEWEST_NETWORKS = 4
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


def correlate(run: xr.DataTree) -> tuple[Correlation, ...]:
    """Correlation of mean AOC with every metric, a point per network (sparsity, seed).

    It describes one study's networks: both numbers depend on the sparsity, and the networks of
    one seed descend from one training, so it is no proof that either causes the other, and p
    takes the networks for exchangeable.

    Args:
        run: As `open_run` gives it, or part of it.

    Raises:
        CorruptionError: An item's status says ok, and it has no curve.

    Source:
        Spearman 1904, as Pearson's correlation of (mean) ranks, and a permutation test, by
        scipy: exact up to 7 networks, above these 5040 random orders, the same on every call.

    """
    return correlate_items(read_items(run), read_performance(run))


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


def _spearman(pairs: np.ndarray) -> tuple[float, float]:
    """Rho and p of the two columns."""
    if len(pairs) < FEWEST_NETWORKS or (pairs == pairs[0]).all(axis=0).any():
        return math.nan, math.nan
    ranks = stats.rankdata(pairs, axis=0)
    draws = stats.PermutationMethod(n_resamples=ORDERS, rng=np.random.default_rng(0))
    found = stats.pearsonr(ranks[:, 0], ranks[:, 1], method=draws)
    return float(found.statistic), float(found.pvalue)
