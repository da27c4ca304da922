"""What the host of an attempt sees of it, and puts on record beside what its worker says."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from dataclasses import dataclass, field

from mtljobs.cluster.causes import End, Notice, Seen, find_cause
from mtljobs.cluster.slurmctl import Job, JobView, describe
from mtljobs.ledger import attempts
from mtljobs.ledger.attempts import AttemptState
from mtljobs.ledger.paths import RunFolder

_log = logging.getLogger("mtljobs.supervisor")


@dataclass
class Witness:
    """Sees one attempt: that of this job at a shard.

    Attributes:
        run: That the shard belongs to.
        shard: Its name.
        job: This one.
        notice_s: How long before a time limit Slurm was asked to warn.
        notice: The first signal that told the job to stop.
        last_signal: The last one.
    """

    run: RunFolder
    shard: str
    job: Job
    notice_s: float
    notice: Notice | None = field(default=None, init=False)
    last_signal: int | None = field(default=None, init=False)
    _view: JobView | None = field(default=None, init=False)

    def hear(self, number: int) -> None:
        """Note a signal, and ask Slurm what it means."""
        self.notice = self.notice or Notice(number, time.time())
        self.last_signal = number
        self._view = describe(self.job) or self._view

    def find_attempt(self) -> AttemptState | None:
        """The attempt that the worker of this job has begun; None as long as it has not."""
        mine = (self.job.id, self.job.restarts)
        for attempt in reversed(attempts.read_shard(self.run.attempts, self.shard)):
            if attempt.process and (attempt.process.job, attempt.process.restarts) == mine:
                return attempt
        return None

    def make_attempt(self) -> AttemptState:
        """An attempt in the place of a worker that could not begin one."""
        attempts.begin(self.run.attempts, self.shard, device="")
        made = self.find_attempt()
        assert made is not None  # noqa: S101 (a process of this job has begun it)
        return made

    def report(self, attempt: AttemptState, end: End, *, note: str = "") -> AttemptState:
        """Put on record how the attempt ended, as far as it can be told by now.

        Args:
            attempt: As `find_attempt` gave it.
            note: What to tell the user besides.

        Returns:
            What the attempt is now.
        """
        cause = find_cause(self._seen(attempt, end))
        state = cause or attempt.outcome or "vanished"
        speaks = attempt.outcome is None and state in {"failed", "vanished"}
        detail = note or (end.words if speaks else "")
        try:
            attempts.report_from_host(
                self.run.attempts,
                self.shard,
                attempt.number,
                exit_code=end.exit_code,
                signal=end.signal,
                cause=cause,
                detail=detail,
            )
        except OSError as error:  # a full disk, say: what follows is right all the same
            _log.warning("the end of the attempt could not be written: %s", error)
        return dataclasses.replace(attempt, state=state, detail=detail or attempt.detail)

    def _seen(self, attempt: AttemptState, end: End) -> Seen:
        return Seen(
            outcome=attempt.outcome,
            detail=attempt.detail if attempt.outcome else end.words,
            end=end,
            notice=self.notice,
            job=self._view,
            restarts=self.job.restarts,
            ends_at=self._ends_at(),
            notice_s=self.notice_s,
        )

    def _ends_at(self) -> float | None:
        told = os.environ.get("SLURM_JOB_END_TIME", "")  # older Slurms do not set it
        if told.isdecimal():
            return float(told)
        return self._view.ends_at if self._view is not None else None
