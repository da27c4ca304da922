"""Why an attempt ended, from all that was seen of it: one pure function."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final

from mtljobs.cluster.slurmctl import JobView
from mtljobs.ledger.attempts import COUNTS_ALWAYS, Outcome

SLACK_S = 60.0
"""How much too early Slurm may warn of a time limit, by its manual."""

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS})
"""Signals that a process brings upon itself."""

_STATES: Final[dict[str, Outcome]] = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node lost",
}

# Python's and numpy's, and torch's where memory of the host is meant. What a GPU lacks, more memory
# of the host does not bring: that is an error of the code, or of the grid.
_NO_MEMORY = re.compile(
    r"^(?:[\w.]+\.)?_?(?:Array)?MemoryError\b|DefaultCPUAllocator", re.MULTILINE
)

# submitit's, where `submit` was killed before it had put the job's file in place.
_NO_FILE = "could not find submitted jobs"


@dataclass(frozen=True)
class Notice:
    """The first signal that told a job to stop.

    Attributes:
        number: SIGUSR2 long before the end, SIGTERM shortly before it.
        at: Seconds since 1970.
    """

    number: int
    at: float


@dataclass(frozen=True)
class End:
    """How a worker's process ended, as its host saw it. Nothing of it: it runs, or never started.

    Attributes:
        exit_code: None where a signal ended it.
        signal: That ended it.
        out_of_memory: Whether the kernel killed a process of the job for its memory, or this one
            was killed when it was about as large as the job may be.
        words: What to tell of it, where the worker told nothing.
    """

    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    words: str = ""


@dataclass(frozen=True)
class Seen:
    """All that is known of an attempt.

    Attributes:
        outcome: How its worker says that it ended; None where it could not.
        detail: What the worker added; without an outcome, what is to be told instead.
        end: Of the worker's process.
        notice: None where nobody asked to stop.
        job: What Slurm said after the last signal; None where none came, or no answer.
        restarts: How often Slurm had requeued the job before.
        ends_at: When the job's time is over, in seconds since 1970; None where nobody knows.
        notice_s: How long before that time Slurm was asked to warn.
    """

    outcome: Outcome | None
    detail: str
    end: End
    notice: Notice | None
    job: JobView | None
    restarts: int
    ends_at: float | None
    notice_s: float


def find_cause(seen: Seen) -> Outcome | None:
    """What ended the attempt; None where the worker's own word stands, or nobody can tell.

    What stopped the job counts more than an error of the worker: the notice may have taken the
    image away from under it.
    """
    if seen.outcome in COUNTS_ALWAYS:
        return None
    if _lacked_memory(seen):
        return "out of memory"
    if seen.notice is not None:
        return _stopped_by(seen, seen.notice)
    if seen.outcome is not None or _NO_FILE in seen.detail:
        return None
    if seen.end.exit_code is not None or seen.end.signal in CRASHES:
        return "failed"
    return None  # killed by somebody, or never started


def _lacked_memory(seen: Seen) -> bool:
    if seen.end.out_of_memory:
        return seen.outcome in {None, "failed"}
    return seen.outcome == "failed" and _NO_MEMORY.search(seen.detail) is not None


def _stopped_by(seen: Seen, notice: Notice) -> Outcome:
    told = None if seen.job is None else _by_slurm(seen.job, seen.restarts)
    if told is not None:
        return told
    if seen.ends_at is None or notice.at < seen.ends_at - seen.notice_s - SLACK_S:
        return "preempted"
    return "timed out"


def _by_slurm(job: JobView, restarts: int) -> Outcome | None:
    """What Slurm's words mean; None where it has decided nothing yet."""
    named = sorted(job.states & _STATES.keys())
    if job.restarts > restarts:
        # While this process lives it is still "COMPLETING", unless its node counts no more.
        return "node lost" if job.states == {"PENDING"} else "preempted"
    if named:
        return _STATES[named[0]]
    if job.reason == "TimeLimit":
        return "timed out"
    if job.is_preempted:
        return "preempted"
    # Where it ends for good, and for none of the other reasons, a user has cancelled it.
    return "cancelled" if "COMPLETING" in job.states else None
