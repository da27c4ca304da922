"""What a run's averages would miss: planned items without a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import numpy as np
import xarray as xr

from mtljobs.contracts import STATUS
from mtljobs.errors import UserError, counted

UNREADABLE = 8
MISSING = (0, UNREADABLE)
"""Codes of `STATUS` that are no results: not run, input unreadable."""

NOT_PLANNED = -1
"""Stands for the status of items that belong to no planned cell."""

Slot = tuple[str, float, int]
"""(experiment, sparsity, seed) of a cell."""


_MENDING = (
    " (first restore the files that the logs of the explain shards name, then `mtljobs verify "
    "--requeue --missing`)"
)


class PartialRunError(UserError):
    """Results are missing, and nobody said that an average may do without them."""

    exit_code: ClassVar[int] = 3


def planned_status(
    status: xr.DataArray, experiment: str, planned: Collection[Slot] | None
) -> xr.DataArray:
    """Status per item, `NOT_PLANNED` in cells that the axes span but no plan asks for."""
    if planned is None:
        return status.astype(int)
    asked = [
        [(experiment, float(sparsity), int(seed)) in planned for seed in status["seed"].values]
        for sparsity in status["sparsity"].values
    ]
    return status.astype(int).where(xr.DataArray(asked, dims=["sparsity", "seed"]), NOT_PLANNED)


def count_missing(statuses: Mapping[tuple[str, str], xr.DataArray]) -> dict[Slot, int]:
    """Missing items of each cell that has any.

    Args:
        statuses: (Experiment, task) -> planned status per item.
    """
    missing: dict[Slot, int] = {}
    for (experiment, _), status in statuses.items():
        counts = status.isin(MISSING).sum(["image", "group"]).transpose("sparsity", "seed").values
        for row, column in np.argwhere(counts):
            slot = (experiment, float(status["sparsity"][row]), int(status["seed"][column]))
            missing[slot] = missing.get(slot, 0) + int(counts[row, column])
    return missing


def refuse_partial(
    missing: Mapping[Slot, int], statuses: Mapping[tuple[str, str], xr.DataArray]
) -> None:
    """Raise if anything is missing.

    Raises:
        PartialRunError: Says how many items, why, and of which cells.
    """
    if not missing:
        return
    values = np.concatenate([status.values.ravel() for status in statuses.values()])
    causes = [
        f"{count} {STATUS[code]}" for code in MISSING if (count := np.count_nonzero(values == code))
    ]
    places = [
        f"{experiment} at sparsity {sparsity:g}, seed {seed} ({count})"
        for (experiment, sparsity, seed), count in missing.items()
    ]
    more = f"; and {counted(len(places) - 5, 'more cell')}" if len(places) > 5 else ""
    raise PartialRunError(
        f"{sum(missing.values())} of {np.count_nonzero(values != NOT_PLANNED)} items are missing "
        f"({', '.join(causes)}): {'; '.join(places[:5])}{more}. Averages would be over other "
        "items than planned: `mtljobs resume` computes what is not run"
        f"{_MENDING if (values == UNREADABLE).any() else ''}, --allow-partial averages what is "
        "there and prints the counts."
    )
