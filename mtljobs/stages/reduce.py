"""Stage `reduce`: everything committed goes into the store, and the store into tables."""

from __future__ import annotations

import logging

from mtljobs.errors import CorruptionError, InputMissing
from mtljobs.ledger.commit import sweep_run, sweep_shared
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.results import write_tables
from mtljobs.stages.work import Work
from mtljobs.store.backend import load_backend
from mtljobs.store.damage import naming_damage
from mtljobs.store.merge import merge

MERGE_WAIT_S = 600.0

_log = logging.getLogger(__name__)


def run(work: Work) -> None:
    """Merge the run and write its tables; refuses a run that is not complete."""
    reduce_run(work.run, work.workspace, allow_partial=False)


def reduce_run(run: RunFolder, workspace: Workspace, *, allow_partial: bool) -> None:
    """Merge what is committed and write the tables of what is there.

    Args:
        allow_partial: Average what there is, where planned items are missing.

    Raises:
        InputMissing: Nothing was submitted yet.
        CorruptionError: Commits were not what their records say: they are quarantined, and their
            shards to be done again; or chunks of the store are not what was merged.
        PartialRunError: Planned items are missing, and `allow_partial` is False.
    """
    plan = read_newest(run)
    if plan is None:
        raise InputMissing(f"nothing was submitted to the run {run.name!r}")
    report = merge(
        run,
        workspace,
        load_backend(plan.backend),
        read_layouts=lambda: (read_newest(run) or plan).layouts,
        wait_s=MERGE_WAIT_S,
    )
    sweep_run(run)
    sweep_shared(workspace)
    for shard, reason in report.quarantined.items():
        _log.warning("quarantined %s: %s", shard, reason)
    if report.quarantined and not allow_partial:
        shard, reason = next(iter(report.quarantined.items()))
        raise CorruptionError(
            f"{len(report.quarantined)} of the finished shards were not what their records say, "
            f"such as {shard}: {reason}. They are in quarantine; `mtljobs resume "
            f"{run.name}` computes them again; everything else is as it was."
        )
    with naming_damage(run):
        write_tables(run, allow_partial=allow_partial)
