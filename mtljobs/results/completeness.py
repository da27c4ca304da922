"""What a run's averages would miss: planned items without a result, networks not evaluated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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


def find_unevaluated(
    experiment: str, reached: xr.DataArray, planned: Collection[Slot] | None
) -> Iterator[Slot]:
    """Cells of one experiment whose network has no performance yet.

    Args:
        reached: Its `sparsity_parameters`, NaN where a network is not evaluated.
        planned: Cells that ought to be there; None: every sparsity with every seed.
    """
    values = reached.transpose("sparsity", "seed").values
    for row, column in np.argwhere(np.isnan(values)):
        slot = (experiment, float(reached["sparsity"][row]), int(reached["seed"][column]))
        if planned is None or slot in planned:
            yield slot


def refuse_partial(
    missing: Mapping[Slot, int],
    unevaluated: Sequence[Slot],
    statuses: Mapping[tuple[str, str], xr.DataArray],
) -> None:
    """Raise if anything is missing.

    Raises:
        PartialRunError: Says how much, why, and of which cells.
    """
    if missing:
        raise _missing_items(missing, statuses)
    if unevaluated:
        places = [f"{name} at sparsity {at:g}, seed {seed}" for name, at, seed in unevaluated]
        raise PartialRunError(
            f"{counted(len(places), 'network')} not evaluated: {_some(places)}. Their explanations "
            "are there, and nothing says how well they predict: `mtljobs resume` evaluates them, "
            "--allow-partial makes tables of what is there."
        )


def _missing_items(
    missing: Mapping[Slot, int], statuses: Mapping[tuple[str, str], xr.DataArray]
) -> PartialRunError:
    values = np.concatenate([status.values.ravel() for status in statuses.values()])
    causes = [
        f"{count} {STATUS[code]}" for code in MISSING if (count := np.count_nonzero(values == code))
    ]
    places = [
        f"{experiment} at sparsity {sparsity:g}, seed {seed} ({count})"
        for (experiment, sparsity, seed), count in missing.items()
    ]
    return PartialRunError(
        f"{sum(missing.values())} of {np.count_nonzero(values != NOT_PLANNED)} items are missing "
        f"({', '.join(causes)}): {_some(places)}. Averages would be over other "
        "items than planned: `mtljobs resume` computes what is not run"
        f"{_MENDING if (values == UNREADABLE).any() else ''}, --allow-partial averages what is "
        "there and prints the counts."
    )


def _some(places: Sequence[str]) -> str:
    more = f"; and {counted(len(places) - 5, 'more cell')}" if len(places) > 5 else ""
    return "; ".join(places[:5]) + more
