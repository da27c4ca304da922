"""The network of a cell, for whoever wants to look at it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mtljobs.cluster.runs import find_run, run_workspace
from mtljobs.cluster.states import read_states
from mtljobs.contracts import Shard
from mtljobs.errors import UserError, counted, nearest
from mtljobs.ledger.paths import RunFolder, open_workspace
from mtljobs.ledger.records import find_record
from mtljobs.plan.datasets import dataset_info
from mtljobs.plan.frozen import Cell, Plan, read_newest
from mtljobs.settings.base import load, restore
from mtljobs.settings.data import DataChoice
from mtljobs.settings.models import ModelChoice
from mtljobs.settings.tasks import TaskChoice

if TYPE_CHECKING:
    from torch import nn


def load_network(run: str | Path, *, experiment: str, sparsity: float, seed: int) -> nn.Module:
    """What `mtljobs.load_network` gives."""
    found = find_run(str(run), open_workspace())
    plan = read_newest(found)
    assert plan is not None  # noqa: S101 (that is how `find_run` knows a run)
    cell = find_cell(plan, found.name, (experiment, sparsity, seed))
    shard = _phases(plan, cell)[-1]
    if not _is_finished(found, shard):
        raise _unfinished(found, plan, cell)
    workspace = run_workspace(found)
    info = dataset_info(restore(DataChoice, shard.spec["data"]), workspace)
    tasks = [restore(TaskChoice, values) for values in shard.spec["tasks"]]
    network: nn.Module = load("mtljobs.stages.network:load_network")(
        workspace.networks / shard.identity,
        restore(ModelChoice, shard.spec["model"]),
        channels={task.name: task.channels(info) for task in tasks},
        device="cpu",
    )
    return network


def find_cell(plan: Plan, run: str, slot: tuple[str, float, int]) -> Cell:
    """The cell of a run that (experiment, sparsity, seed) means.

    Raises:
        UserError: The plan has none; says what it has of the first part that is wrong.
    """
    experiment, sparsity, seed = slot
    own = [cell for cell in plan.cells if cell.experiment == experiment]
    if not own:
        names = {cell.experiment for cell in plan.cells}
        raise UserError(
            f"the run {run!r} has no experiment {experiment!r}{nearest(experiment, names)}."
        )
    level = [cell for cell in own if cell.sparsity == sparsity]
    if not level:
        raise UserError(
            f"{experiment} of the run {run!r} has no sparsity {sparsity:g}; planned, as fractions: "
            f"{_listed(cell.sparsity for cell in own)}."
        )
    found = next((cell for cell in level if cell.seed == seed), None)
    if found is None:
        raise UserError(
            f"{experiment} of the run {run!r} has no seed {seed} at sparsity {sparsity:g}; "
            f"planned: {_listed(cell.seed for cell in level)}."
        )
    return found


def find_finished(
    run: RunFolder, *, experiment: str | None, sparsity: float | None, seed: int | None
) -> tuple[Plan, Cell]:
    """A run's plan, and its first cell whose network is finished.

    Args:
        experiment: Of the cell; None: any, and likewise the other two.

    Raises:
        UserError: The run has no such cell, or no such network is finished yet.
    """
    plan = read_newest(run)
    assert plan is not None  # noqa: S101 (that is how `find_run` knows a run)
    cells = [
        cell
        for cell in plan.cells
        if experiment in {None, cell.experiment}
        and sparsity in {None, cell.sparsity}
        and seed in {None, cell.seed}
    ]
    if not cells:
        slots = (f"{cell.experiment} {cell.sparsity:g} {cell.seed}" for cell in plan.cells)
        raise UserError(
            f"the run {run.name!r} has no such cell; planned, as experiment, sparsity, seed: "
            f"{', '.join(slots)}."
        )
    for cell in cells:
        if _is_finished(run, _phases(plan, cell)[-1]):
            return plan, cell
    raise _unfinished(run, plan, cells[0])


def _phases(plan: Plan, cell: Cell) -> list[Shard]:
    """What makes a cell's network, in order."""
    return [shard for shard in plan.shards if shard.name in cell.shards and "phase" in shard.spec]


def _is_finished(run: RunFolder, phase: Shard) -> bool:
    return find_record(run_workspace(run), run, phase) is not None


def _unfinished(run: RunFolder, plan: Plan, cell: Cell) -> UserError:
    """What to say of a network that is not there yet."""
    phases = _phases(plan, cell)
    states = read_states(run).shards
    due = next(shard for shard in phases if states[shard.name].state != "done")
    state = states[due.name].state
    advice = (
        f"`mtljobs wait {run.name}` follows it"
        if state == "running"
        else f"`mtljobs resume {run.name}` goes on with the run, `mtljobs status {run.name}` says "
        "more"
    )
    return UserError(
        f"the network of {cell.experiment} at sparsity {cell.sparsity:g}, seed {cell.seed} is not "
        f"trained yet: {phases.index(due)} of {counted(len(phases), 'phase')} done, and {due.name} "
        f"is {state}. {advice}. In a copied run, copy shared/networks along."
    )


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values)))
