"""`mtljobs verify` as a whole: check, compute again, make room."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from mtljobs.cluster.marker import find_submissions
from mtljobs.cluster.recomputing import recompute
from mtljobs.cluster.runs import run_workspace
from mtljobs.cluster.states import require_plan
from mtljobs.contracts import Progress
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import SUBMIT_AGAIN, read_plan
from mtljobs.results.verification import Verification, verify
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.requeue import requeue
from mtljobs.store.verification import Level
from mtljobs.store.writer import Writer, sole_writer

MERGE_WAIT_S = 600.0
RENEW_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """What became of a run's verification.

    Attributes:
        moved: Shard or file -> where it lies now, of what was damaged and made room.
    """

    verification: Verification
    moved: Mapping[str, Path]


def verify_run(
    run: RunFolder,
    *,
    level: Level,
    recomputed: int,
    seed: int,
    makes_room: bool,
    with_missing: bool,
    progress: Progress,
) -> Outcome:
    """Check a run, and move what is damaged into quarantine if that is asked for.

    Args:
        recomputed: How many explain shards to compute again.
        seed: Of the choice of these.
        makes_room: Requeue what is damaged; nobody else merges meanwhile.
        with_missing: And shards with missing items.

    Raises:
        InputMissing: Somebody else is merging, or took over.
    """
    with ExitStack() as held:
        writer = None
        if makes_room:
            writer = held.enter_context(sole_writer(run, wait_s=MERGE_WAIT_S))
            progress = _renewing(writer, progress)
        path, workspace = require_plan(run), run_workspace(run)
        try:
            plan = read_plan(path)
        except CorruptionError as error:
            return Outcome(_without_plan(path, level, error), {})
        found = verify(run, workspace, plan, level=level, progress=progress)
        lost = tuple(_find_lost_plan(run, path))
        again = tuple(recompute(run, plan, count=recomputed, seed=seed, progress=progress))
        found.checked.recomputed = len(again)
        found = dataclasses.replace(found, findings=found.findings + lost + again)
        moved = {}
        # Only a plan says what belongs to the run: by a wrong one all of it would go.
        is_sound = not lost and not any(
            finding.kind == "wrong plan" and finding.path == path for finding in found.findings
        )
        if writer is not None and is_sound:
            missing = [note for note in found.notes if note.kind == "missing items"]
            due = (*found.damage, *(missing if with_missing else ()))
            moved = requeue(run, workspace, plan, due, writer=writer)
    return Outcome(found, moved)


def _find_lost_plan(run: RunFolder, newest: Path) -> Iterator[Finding]:
    """The newest plan that jobs were given, where it is gone: what they computed is nobody's."""
    with suppress(CorruptionError):  # a marker that cannot be read names none
        given = [Path(marker.plan).stem for marker in find_submissions(run).values()]
        last = max((int(stem) for stem in given if stem.isdecimal()), default=0)
        if last > int(newest.stem):
            path = run.plans / f"{last:04d}.jsonl"
            detail = f"expected the plan that jobs were given, found none: {SUBMIT_AGAIN}"
            yield Finding("wrong plan", path, None, detail)


def _without_plan(path: Path, level: Level, error: CorruptionError) -> Verification:
    """What can be said of a run whose newest plan is broken."""
    detail = (
        f"expected the run's newest plan, found that {error} Nothing else was checked: only a plan "
        "says what belongs to the run."
    )
    return Verification(level, Checked(), (Finding("wrong plan", path, None, detail),))


def _renewing(writer: Writer, progress: Progress) -> Progress:
    """A progress that says on the way that the writer is alive."""
    renewed = time.monotonic()

    def report(done: int, total: int, what: str) -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW_S:
            renewed = time.monotonic()
            writer.renew()
        progress(done, total, what)

    return report
