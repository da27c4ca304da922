"""Which run a user means, and how a grid becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mtljobs.errors import UserError, nearest
from mtljobs.ledger.paths import WORKSPACE_VARIABLE, RunFolder, Workspace
from mtljobs.plan.frozen import Plan, newest_plan, read_newest
from mtljobs.plan.grids import find_grid, read_grid
from mtljobs.plan.planning import CellFilter, Changes, compare_plans, everything, plan_grid


@dataclass(frozen=True)
class Proposal:
    """What submitting a grid would do; nothing is written yet.

    Attributes:
        run: Where it would go.
        plan: The grid's own cells and shards, laid out to fit the run.
        previous: What the run has, or None.
        changes: What would be new, kept, stale.
    """

    run: RunFolder
    plan: Plan
    previous: Plan | None
    changes: Changes


def propose(
    grid_name: str,
    *,
    workspace: Workspace,
    run_name: str | None = None,
    wanted: CellFilter = everything,
) -> Proposal:
    """Read a grid and compare it with the run that it would go to.

    Args:
        run_name: Default: the grid file's name without `.toml`.

    Raises:
        GridError: The grid cannot be planned.
    """
    path = find_grid(grid_name)
    grid = read_grid(path)
    run = workspace.run(run_name or path.stem)
    previous = read_newest(run)
    plan = plan_grid(
        grid,
        name=grid_name,
        folder=path.parent,
        workspace=workspace,
        previous=previous,
        wanted=wanted,
    )
    return Proposal(run, plan, previous, compare_plans(previous, plan))


def list_runs(workspace: Workspace) -> list[RunFolder]:
    """The runs of a workspace that something was submitted to, by name.

    A submission that was killed leaves a folder without a plan; a copy that a user made of a run
    may have any name.
    """
    folders = [RunFolder(workspace.root / name) for name in workspace.run_names()]
    return [run for run in folders if newest_plan(run) is not None]


def find_run(name: str | None, workspace: Workspace) -> RunFolder:
    """The run that a user names: by name, by path, or the one submitted last.

    Raises:
        UserError: There is no such run; names the nearest.
    """
    runs = {run.name: run for run in list_runs(workspace)}
    if name is None:
        newest = max(runs.values(), default=None, key=_submitted_at)
        if newest is None:
            raise UserError(
                f"there is no run in {workspace.root}; start one with `mtljobs submit --grid "
                f"demo`, or name another workspace with --workspace or ${WORKSPACE_VARIABLE}."
            )
        return newest
    if name in runs:
        return runs[name]
    # Resolved, as the folder above a run is its workspace, also for ".." and for a link to a run.
    run = RunFolder(Path(name).resolve())
    if newest_plan(run) is not None:
        return run
    raise UserError(f"there is no run {name!r} in {workspace.root}{nearest(name, runs)}.")


def run_workspace(run: RunFolder) -> Workspace:
    """The workspace that a run lies in."""
    return Workspace(run.root.parent)


def _submitted_at(run: RunFolder) -> float:
    path = newest_plan(run)
    return 0.0 if path is None else path.stat().st_mtime
