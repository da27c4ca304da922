"""Which log a user wants to read, and where a job left its output."""

from __future__ import annotations

from pathlib import Path

from mtljobs.cluster.marker import find_submissions
from mtljobs.cluster.states import RunState, find_shard
from mtljobs.errors import UserError
from mtljobs.ledger.attempts import find_attempts
from mtljobs.ledger.paths import RunFolder, log_file


def find_log(state: RunState, name: str | None, number: int | None) -> Path:
    """The log of an attempt; where its worker never began, the output of its job.

    Args:
        state: Of the run.
        name: Of the shard, or its beginning; None: the shard that failed last, or else the one
            that was worked on last.
        number: Of the attempt; None: its last one.

    Raises:
        UserError: There is no such shard or attempt.
    """
    if name is None:
        return _find_newest(state)
    shard = find_shard(state, name)
    numbers = [attempt.number for attempt in find_attempts(state.run.attempts).get(shard, ())]
    chosen = number if number is not None else max(numbers, default=0)
    path = _find_log(state.run, shard, chosen)
    if path is None:
        raise UserError(f"{shard} has no log of attempt {chosen}; attempts: {numbers or 'none'}.")
    return path


def _find_newest(state: RunState) -> Path:
    failed = [
        _find_log(state.run, known.shard.name, known.last.number)
        for known in state.failed
        if known.last is not None
    ]
    logs = [path for path in failed if path is not None]
    logs = logs or [*state.run.logs.glob("*.*.log")]
    logs = logs or [path for path in state.run.submissions.glob("*/*_log.out") if _size(path)]
    if not logs:
        raise UserError(f"nothing has run yet in the run {state.run.name!r}.")
    return max(logs, key=lambda path: path.stat().st_mtime)


def _find_log(run: RunFolder, shard: str, number: int) -> Path | None:
    path = log_file(run, shard, number)
    if path.is_file():
        return path
    outputs = [
        folder / f"{marker.element(marker.shards.index(shard))}_0_log.out"  # submitit's name
        for folder, marker in find_submissions(run).items()
        if marker.job is not None and shard in marker.shards
    ]
    # The last job's alone: an older attempt has no log only if somebody removed it.
    return outputs[-1] if outputs and _size(outputs[-1]) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
