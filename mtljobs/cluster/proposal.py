"""What a grid would make of a run."""

from __future__ import annotations

from dataclasses import dataclass

from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import CellFilter, Plan, read_newest
from mtljobs.plan.grids import find_grid, read_grid
from mtljobs.plan.planning import Changes, compare_plans, everything, plan_grid


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
