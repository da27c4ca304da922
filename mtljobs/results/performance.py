"""How well the networks of a run predict, metric by metric."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mtljobs.results.completeness import Slot
from mtljobs.results.run import task_nodes


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


def read_performance(
    run: xr.DataTree, planned: Collection[Slot] | None = None
) -> tuple[Performance, ...]:
    """Every metric of every network.

    Args:
        run: As `open_run` gives it.
        planned: Cells that ought to be there; None: every sparsity with every seed.
    """
    return tuple(
        row
        for (experiment, task), node in task_nodes(run)
        for row in _of_task(experiment, task, node)
        if planned is None or (experiment, row.sparsity, row.seed) in planned
    )


def _of_task(experiment: str, task: str, node: xr.DataTree) -> Iterator[Performance]:
    arrays = node.to_dataset()
    values = arrays["performance"].transpose("metric", "sparsity", "seed").load()
    errors = values.attrs["lower_is_better"].split()
    constants = arrays["performance_constant"].values.tolist()
    metrics, sparsities, seeds = (values[axis].values.tolist() for axis in values.dims)
    for metric, sparsity, seed in np.ndindex(values.shape):
        yield Performance(
            experiment=experiment,
            task=task,
            metric=metrics[metric],
            lower_is_better=metrics[metric] in errors,
            sparsity=sparsities[sparsity],
            seed=seeds[seed],
            value=float(values.values[metric, sparsity, seed]),
            constant=constants[metric],
        )
