"""A run in numbers: averaged AOC, counts, and the networks' performance beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import xarray as xr

from mtljobs.results.averages import REACHED, Average, average
from mtljobs.results.comparison import Comparison, Decline, compare_items, declines
from mtljobs.results.completeness import (
    Slot,
    count_missing,
    find_unevaluated,
    planned_status,
    refuse_partial,
)
from mtljobs.results.correlation import Correlation, correlate_items
from mtljobs.results.items import read_items
from mtljobs.results.performance import Performance, read_performance
from mtljobs.results.run import task_nodes


@dataclass(frozen=True)
class Tables:
    """A run in numbers.

    Attributes:
        averages: Per experiment, task and sparsity.
        groups: The same per group.
        performance: Per experiment, task, metric, sparsity and seed.
        comparisons: Of each sparsity with the dense network, per experiment and task.
        declines: From which sparsity on faithfulness fell, per experiment and task.
        correlations: Of faithfulness with each metric, per experiment and task.
        missing: Cells with planned items that are not there -> how many.
        unevaluated: Planned cells whose network has no performance yet.
    """

    averages: tuple[Average, ...]
    groups: tuple[Average, ...]
    performance: tuple[Performance, ...]
    comparisons: tuple[Comparison, ...]
    declines: tuple[Decline, ...]
    correlations: tuple[Correlation, ...]
    missing: Mapping[Slot, int]
    unevaluated: tuple[Slot, ...]

    @property
    def partial(self) -> frozenset[str]:
        """Experiments that lack planned results."""
        return frozenset(slot[0] for slot in (*self.missing, *self.unevaluated))


def tables(
    run: xr.DataTree, *, allow_partial: bool = False, planned: Collection[Slot] | None = None
) -> Tables:
    """Averages of a run.

    Args:
        run: As `open_run` gives it.
        allow_partial: Average what is there; `missing`, `unevaluated` and the counts tell.
        planned: Cells that ought to be there; None: every sparsity with every seed.

    Raises:
        PartialRunError: Items have status 0 or 8, or networks are not evaluated, and
            `allow_partial` is False.
        CorruptionError: An item's status says ok, and it has no curve.
    """
    statuses = {
        place: planned_status(node.to_dataset()["status"].load(), place[0], planned)
        for place, node in task_nodes(run)
    }
    missing = count_missing(statuses)
    unevaluated = tuple(
        slot
        for experiment in dict.fromkeys(experiment for experiment, _ in statuses)
        for slot in find_unevaluated(
            experiment, run.children[experiment].to_dataset()["sparsity_parameters"], planned
        )
    )
    if not allow_partial:
        refuse_partial(missing, unevaluated, statuses)
    items = read_items(run, statuses)
    averages: list[Average] = []
    groups: list[Average] = []
    for (experiment, task), areas in items.items():
        for index, reached in enumerate(_sparsities_reached(run.children[experiment])):
            of_sparsity = partial(
                average,
                areas.isel(sparsity=index),
                experiment=experiment,
                task=task,
                reached=reached,
            )
            averages.append(of_sparsity())
            groups += [of_sparsity(group=str(group)) for group in areas["group"].values]
    performance = read_performance(run, planned)
    comparisons = compare_items(items)
    return Tables(
        averages=tuple(averages),
        groups=tuple(groups),
        performance=performance,
        comparisons=comparisons,
        declines=declines(comparisons),
        correlations=correlate_items(items, performance),
        missing=missing,
        unevaluated=unevaluated,
    )


def _sparsities_reached(experiment: xr.DataTree) -> list[dict[str, float]]:
    """What is really gone at each sparsity, mean over the seeds that are there."""
    arrays = experiment.to_dataset()
    parts = [part for part in REACHED if f"sparsity_{part}" in arrays]
    means = {part: arrays[f"sparsity_{part}"].mean("seed").values.tolist() for part in parts}
    return [
        {part: values[index] for part, values in means.items() if not math.isnan(values[index])}
        for index in range(arrays.sizes["sparsity"])
    ]
