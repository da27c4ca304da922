"""Which run a user means, and whether somebody works on it."""

from __future__ import annotations

from pathlib import Path

from mtljobs.errors import UserError, nearest
from mtljobs.ledger import claims
from mtljobs.ledger.paths import WORKSPACE_VARIABLE, RunFolder, Workspace
from mtljobs.plan.frozen import newest_plan


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


def is_driven(run: RunFolder) -> bool:
    """Whether a driver of some machine works on the run."""
    return claims.is_held(run.driving)


def _submitted_at(run: RunFolder) -> float:
    path = newest_plan(run)
    return 0.0 if path is None else path.stat().st_mtime
