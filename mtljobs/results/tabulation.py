"""A run in numbers: averaged AOC, counts, and the networks' performance beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mtljobs.errors import CorruptionError
from mtljobs.results.areas import aoc, quantus
from mtljobs.results.averages import OK, REACHED, Average, average
from mtljobs.results.completeness import Slot, count_missing, planned_status, refuse_partial


@dataclass(frozen=True)
class Performance:
    """One metric of one network, pooled over the test split.

    Attributes:
        value: NaN where the network is not evaluated yet, or no pixel was valid.
        constant: The same metric of the training split's constant predictor.
    """

    experiment: str
    task: str
    metric: str
    lower_is_better: bool
    sparsity: float
    seed: int
    value: float
    constant: float


@dataclass(frozen=True)
class Tables:
    """A run in numbers.

    Attributes:
        averages: Per experiment, task and sparsity.
        groups: The same per group.
        performance: Per experiment, task, metric, sparsity and seed.
        missing: Cells with planned items that are not there -> how many.
    """

    averages: tuple[Average, ...]
    groups: tuple[Average, ...]
    performance: tuple[Performance, ...]
    missing: Mapping[Slot, int]


def tables(
    run: xr.DataTree, *, allow_partial: bool, planned: Collection[Slot] | None = None
) -> Tables:
    """Averages of a run.

    Args:
        run: As `open_run` gives it.
        allow_partial: Average what is there; `missing` and the counts tell.
        planned: Cells that ought to be there; None: every sparsity with every seed.

    Raises:
        PartialRunError: Items have status 0 or 8, and `allow_partial` is False.
        CorruptionError: An item's status says ok, and it has no curve.
    """
    nodes = dict(task_nodes(run))
    statuses = {
        place: planned_status(node.to_dataset()["status"].load(), place[0], planned)
        for place, node in nodes.items()
    }
    missing = count_missing(statuses)
    if not allow_partial:
        refuse_partial(missing, statuses)
    averages: list[Average] = []
    groups: list[Average] = []
    performance: list[Performance] = []
    for (experiment, task), node in nodes.items():
        for items, reached in _by_sparsity(node, statuses[experiment, task]):
            labels = {"experiment": experiment, "task": task}
            averages.append(average(items, reached=reached, **labels))
            groups += [
                average(items, group=str(group), reached=reached, **labels)
                for group in items["group"].values
            ]
        performance += [
            row
            for row in _performance(experiment, task, node)
            if planned is None or (experiment, row.sparsity, row.seed) in planned
        ]
    return Tables(tuple(averages), tuple(groups), tuple(performance), missing)


def task_nodes(run: xr.DataTree) -> Iterator[tuple[tuple[str, str], xr.DataTree]]:
    """Every (experiment, task) of a run with its node, tasks in their experiment's order."""
    for name, experiment in run.children.items():
        for task in experiment.attrs["tasks"].split():
            yield (name, task), experiment.children[task]


def _by_sparsity(
    node: xr.DataTree, status: xr.DataArray
) -> Iterator[tuple[xr.Dataset, dict[str, float]]]:
    """Items of each sparsity, one at a time in memory, and the sparsities reached."""
    for index in range(node.sizes["sparsity"]):
        chosen = node.to_dataset().isel(sparsity=index)
        items = xr.Dataset(
            {"aoc": aoc(chosen), "quantus": quantus(chosen), "status": status.isel(sparsity=index)}
        )
        broken = (items["status"] == OK) & items["aoc"].isnull()
        if broken.any():
            raise CorruptionError(
                f"{int(broken.sum())} items of {node.path} have status 1 (ok) but no whole curve, "
                "or their images no superpixels: the store was changed after the merge, or a merge "
                "was killed. `mtljobs reduce` finishes a merge and checks it."
            )
        yield items, _sparsities_reached(node.parent, index)


def _sparsities_reached(experiment: xr.DataTree | None, index: int) -> dict[str, float]:
    if experiment is None:
        return {}
    arrays = experiment.to_dataset().isel(sparsity=index)
    means = {
        part: float(arrays[f"sparsity_{part}"].mean())  # of the seeds that are there
        for part in REACHED
        if f"sparsity_{part}" in arrays
    }
    return {part: mean for part, mean in means.items() if not math.isnan(mean)}


def _performance(experiment: str, task: str, node: xr.DataTree) -> Iterator[Performance]:
    values = node.to_dataset()["performance"].transpose("metric", "sparsity", "seed").load()
    errors = values.attrs["lower_is_better"].split()
    for metric, sparsity, seed in np.ndindex(values.shape):
        name = str(values["metric"].values[metric])
        yield Performance(
            experiment=experiment,
            task=task,
            metric=name,
            lower_is_better=name in errors,
            sparsity=float(values["sparsity"][sparsity]),
            seed=int(values["seed"][seed]),
            value=float(values[metric, sparsity, seed]),
            constant=float(node["performance_constant"][metric]),
        )
