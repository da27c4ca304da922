"""A shard's explanations once more, beside those that the run has: `mtljobs verify --recompute`."""

from __future__ import annotations

from pathlib import Path

from mtljobs.contracts import Progress, Shard
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.plan.frozen import Plan
from mtljobs.settings.base import restore
from mtljobs.settings.resources import Resources
from mtljobs.stages import explain
from mtljobs.stages.work import Work


def explain_again(
    plan: Plan,
    shard: Shard,
    *,
    run: RunFolder,
    workspace: Workspace,
    folder: Path,
    progress: Progress,
) -> Path:
    """Compute a shard of the stage `explain` by the stage's own code, and commit nothing.

    Args:
        folder: Private and empty.

    Returns:
        Where its files lie, under the names that its record has for them.
    """
    output = create_folder(folder / "output")
    explain.run(
        Work(
            shard=shard,
            layouts=plan.layouts,
            backend=plan.backend,
            resources=restore(Resources, plan.resources),
            run=run,
            workspace=workspace,
            output=output,
            scratch=create_folder(folder / "scratch"),
            stop=lambda: False,
            progress=progress,
        )
    )
    return output
