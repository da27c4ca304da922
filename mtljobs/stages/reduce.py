"""Stage `reduce`: everything committed goes into the store, and the store into tables."""

from __future__ import annotations

from mtljobs.errors import InputMissing
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.results import write_tables
from mtljobs.settings.base import load
from mtljobs.settings.store import Store
from mtljobs.stages.work import Work

MERGE_WAIT_S = 600.0


def run(work: Work) -> None:
    """Merge the run and write its tables; refuses a run that is not complete."""
    reduce_run(work.run, work.workspace, allow_partial=False)


def reduce_run(run: RunFolder, workspace: Workspace, *, allow_partial: bool) -> None:
    """Merge what is committed and write the tables of what is there.

    Args:
        allow_partial: Average what there is, where planned items are missing.

    Raises:
        InputMissing: Nothing was submitted yet, or commits were not what their records say: they
            are quarantined, and their shards to be done again.
        PartialRunError: Planned items are missing, and `allow_partial` is False.
    """
    plan = read_newest(run)
    if plan is None:
        raise InputMissing(f"nothing was submitted to the run {run.name!r}")
    store = load(Store.implementations[plan.backend])()
    report = store.merge(
        run,
        workspace,
        read_layouts=lambda: (read_newest(run) or plan).layouts,
        wait_s=MERGE_WAIT_S,
    )
    if report.quarantined and not allow_partial:
        reasons = "; ".join(f"{shard}: {reason}" for shard, reason in report.quarantined.items())
        raise InputMissing(f"quarantined, to be computed again by `mtljobs resume`: {reasons}")
    write_tables(run, allow_partial=allow_partial)
