"""From a grid to a plan, and how a run grows by it without touching what it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mtljobs.contracts import Shard
from mtljobs.errors import GridError, StaleSlotError, counted
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.cells import CellPlanner, reduction
from mtljobs.plan.datasets import dataset_info
from mtljobs.plan.frozen import Cell, CellFilter, Plan
from mtljobs.plan.layouts import check_experiment, grow_layout, is_growth
from mtljobs.plan.weights import locate_weights
from mtljobs.settings import canonical
from mtljobs.settings.grid import Experiment, Grid
from mtljobs.settings.resources import Resources

T = TypeVar("T")


@dataclass(frozen=True)
class Changes:
    """What a submission would add to a run.

    Attributes:
        new: Cells that the run does not have.
        kept: Cells that the run has already.
        stale: Cells whose place in the store holds, or is laid out for, other settings -> the
            keys that changed.
    """

    new: tuple[Cell, ...]
    kept: tuple[Cell, ...]
    stale: Mapping[Cell, tuple[str, ...]]


def everything(experiment: str, sparsity: float, seed: int) -> bool:
    """The filter that wants all cells."""
    return True


def plan_grid(
    grid: Grid,
    *,
    name: str,
    folder: Path,
    workspace: Workspace,
    previous: Plan | None = None,
    wanted: CellFilter = everything,
) -> Plan:
    """The plan of a grid alone, laid out so that it fits a run's earlier plan.

    Args:
        name: Of the grid, for readers.
        folder: Of the grid file; what relative folders in `[resources.data]` count from.
        previous: The run's newest plan.
        wanted: Which of the grid's cells to plan.

    Raises:
        GridError: The grid asks for something impossible, for data that nobody prepared, or for
            no cell at all.
        WeightsError: A weights file that it names is not there.
    """
    layouts = {}
    cells: list[Cell] = []
    shards: dict[str, Shard] = {}
    provisional = False
    weights: dict[str, str] = {}
    for experiment in grid.experiment:
        info = dataset_info(experiment.data, workspace)
        check_experiment(experiment, info)
        weights |= locate_weights(experiment, folder, grid.resources.weights)
        pairs = _wanted_pairs(experiment, wanted)
        if not pairs:
            continue
        provisional |= info.sha256 is None
        planner = CellPlanner(_only(experiment, pairs), info, grid.numerics)
        layout = planner.layout()
        old = previous.layouts.get(experiment.name) if previous else None
        if old is not None and is_growth(old, layout):
            layout = grow_layout(old, layout)
        layouts[experiment.name] = layout
        for sparsity, seed in pairs:
            cell, needed = planner.plan(sparsity, seed, layout)
            cells.append(cell)
            shards.update({shard.name: shard for shard in needed})
    if not cells:
        raise GridError(f"--only leaves no cell of the grid {name!r}; it has {_cell_axes(grid)}.")
    ordered = tuple(shards.values())
    return Plan(
        grid=name,
        cells=tuple(cells),
        layouts=layouts,
        shards=(*ordered, reduction(ordered)),
        resources=canonical(_absolute(grid.resources, folder, weights)),
        backend=grid.store.backend,
        provisional=provisional,
    )


def compare_plans(previous: Plan | None, addition: Plan) -> Changes:
    """What `addition` means to a run."""
    had = {cell.slot: cell for cell in previous.cells} if previous else {}
    new: list[Cell] = []
    kept: list[Cell] = []
    stale: dict[Cell, tuple[str, ...]] = {}
    known = previous.layouts if previous else {}
    pairs = {name: (known[name], new) for name, new in addition.layouts.items() if name in known}
    changed = {
        name: changed_keys(old.settings, layout.settings) for name, (old, layout) in pairs.items()
    }
    misfits = {name for name, pair in pairs.items() if not is_growth(*pair)}
    for cell in addition.cells:
        if cell.experiment in misfits or had.get(cell.slot, cell).identity != cell.identity:
            stale[cell] = changed.get(cell.experiment) or ("the software's version",)
        elif cell.slot in had:
            kept.append(cell)
        else:
            new.append(cell)
    return Changes(tuple(new), tuple(kept), stale)


def grow_plan(previous: Plan | None, addition: Plan) -> Plan:
    """The run's next plan: all that it had, and what `addition` brings.

    Raises:
        StaleSlotError: A slot of the run would get another identity.
    """
    if previous is None:
        return addition
    stale = compare_plans(previous, addition).stale
    if stale:
        keys = sorted({key for keys in stale.values() for key in keys})
        raise StaleSlotError(
            f"the run has {counted(len(stale), 'cell')} computed with other settings "
            f"({', '.join(keys)} changed), and nothing in a store is overwritten: submit to "
            "another run with --run NEW, or restore the settings."
        )
    if previous.backend != addition.backend:
        raise StaleSlotError(
            f"the run's store is {previous.backend}, the grid asks for {addition.backend}: "
            "submit to another run with --run NEW."
        )
    cells = {cell.slot: cell for cell in (*addition.cells, *previous.cells)}
    order = _unique(cell.slot for cell in (*previous.cells, *addition.cells))
    shards = {
        shard.name: shard
        for shard in (*previous.shards, *addition.shards)
        if shard.stage != "reduce"
    }
    ordered = tuple(shards.values())
    places = {
        key: {**previous.resources[key], **addition.resources[key]} for key in ("data", "weights")
    }
    return dataclasses.replace(
        addition,
        resources={**addition.resources, **places},
        cells=tuple(cells[slot] for slot in order),
        layouts={**previous.layouts, **addition.layouts},
        shards=(*ordered, reduction(ordered)),
    )


def changed_keys(old: Any, new: Any, prefix: str = "") -> tuple[str, ...]:
    """Dotted keys at which two canonical settings differ.

    Example:
        >>> changed_keys({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d": 0})
        ('a.b', 'd')
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted({*old, *new})
        return tuple(
            found
            for key in keys
            for found in changed_keys(old.get(key), new.get(key), f"{prefix}{key}.")
        )
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        return tuple(
            found
            for index, pair in enumerate(zip(old, new, strict=True))
            for found in changed_keys(*pair, f"{prefix}{index}.")
        )
    return () if old == new else (prefix.removesuffix("."),)


def _wanted_pairs(experiment: Experiment, wanted: CellFilter) -> list[tuple[float, int]]:
    return [
        (sparsity, seed)
        for sparsity in experiment.sparsities
        for seed in experiment.seeds
        if wanted(experiment.name, sparsity, seed)
    ]


def _only(experiment: Experiment, pairs: list[tuple[float, int]]) -> Experiment:
    return dataclasses.replace(
        experiment,
        sparsities=_unique(sparsity for sparsity, _ in pairs),
        seeds=_unique(seed for _, seed in pairs),
    )


def _absolute(resources: Resources, folder: Path, weights: dict[str, str]) -> Resources:
    data = {name: str((folder / path).absolute()) for name, path in resources.data.items()}
    return dataclasses.replace(resources, data=data, weights=weights)


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _cell_axes(grid: Grid) -> str:
    return "; ".join(
        f"{experiment.name}: sparsities {list(experiment.sparsities)}, "
        f"seeds {list(experiment.seeds)}"
        for experiment in grid.experiment
    )
