"""What is tried again on Slurm, by the cause of an attempt's end."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtljobs.errors import counted
from mtljobs.ledger.attempts import AttemptState
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources

TOO_SLOW = (
    "one checkpoint interval, or one image, takes longer than the time limit allows: raise "
    "walltime_min or lower checkpoint_every_s in [resources], then `mtljobs resume`"
)
NO_FURTHER = "no further than the attempt before"
"""Begins the detail of an attempt that ran out of time where the one before did."""

_FRAME = re.compile(r'^ +File ".*", line \d+, in .*$', flags=re.MULTILINE)


@dataclass(frozen=True)
class Past:
    """What became of a shard so far; it neither runs nor waits in the queue.

    Attributes:
        attempts: All of them, oldest first.
        forgiven: Number of the last attempt before somebody resumed the run by hand.
        silent: Jobs since the last attempt that ended before they began one.
        got_further: Whether the last attempt left a checkpoint.
    """

    attempts: Sequence[AttemptState] = ()
    forgiven: int = 0
    silent: int = 0
    got_further: bool = True

    @property
    def counted(self) -> list[AttemptState]:
        """The attempts since somebody resumed the run by hand."""
        return [attempt for attempt in self.attempts if attempt.number > self.forgiven]

    @property
    def was_tried(self) -> bool:
        """Whether another attempt would be a retry."""
        return bool(self.counted or self.silent)

    def in_words(self) -> str:
        """The ends of its attempts, as in "preempted twice, out of memory"."""
        ends = Counter(attempt.state for attempt in self.attempts)
        times = {1: "", 2: " twice"}
        words = [f"{end}{times.get(count, f' {count} times')}" for end, count in ends.items()]
        if self.silent:
            words.append(f"{counted(self.silent, 'job')} ended before beginning")
        return ", ".join(words)


@dataclass(frozen=True)
class Decision:
    """Whether a shard is submitted, with how much memory, and why.

    Attributes:
        again: Whether it is.
        memory_gb: What it gets then.
        reason: In words; empty where nothing has happened to it.
    """

    again: bool
    memory_gb: float
    reason: str = ""


def decide(past: Past, *, resources: Resources, profile: Profile) -> Decision:
    """Whether a shard that is not done is submitted without anybody asking."""
    memory_gb, was_enough = _memory(past, resources, profile)
    if not past.was_tried:
        return Decision(again=True, memory_gb=memory_gb)
    reason = _why_not(past, resources, memory_gb, could_grow=was_enough)
    return Decision(reason is None, memory_gb, reason or past.in_words())


def _why_not(past: Past, resources: Resources, memory_gb: float, *, could_grow: bool) -> str | None:
    """What speaks against another attempt; None where nothing does."""
    last = past.counted[-1] if past.counted else None
    lost = _lost_in_a_row(past)
    if lost > resources.retry.vanished:
        return (
            f"{counted(lost, 'job')} in a row ended without a word: `mtljobs logs` shows the output"
        )
    if last is None or past.silent:
        return None
    if last.state in {"failed", "cancelled"}:
        return last.state
    if last.state == "out of memory" and not could_grow:
        return f"out of memory with {memory_gb:g} GB, and memory_max_gb allows no more"
    stood_still = not past.got_further or last.detail.startswith(NO_FURTHER)
    if last.state == "timed out" and stood_still:
        return f"timed out, and got no further: {TOO_SLOW}"
    return None


def _memory(past: Past, resources: Resources, profile: Profile) -> tuple[float, bool]:
    """Memory of the next attempt, and whether it is more than the last one had."""
    base, cap = resources.memory_gb, max(resources.memory_gb, profile.memory_max_gb)
    kills = sum(attempt.state == "out of memory" for attempt in past.attempts)

    def after(kills: int) -> float:
        # Beyond some power the number would not be finite, and the cap is long reached.
        return min(cap, base * resources.retry.memory_factor ** min(kills, 100))

    return after(kills), kills == 0 or after(kills) > after(kills - 1)


def _lost_in_a_row(past: Past) -> int:
    """Jobs, the last ones, of which nobody knows what they ended of.

    Attempts of one job count once: Slurm itself has requeued it, as it does after a lost node.
    """
    jobs: list[str | None] = []
    for attempt in reversed(past.counted):
        if attempt.state not in {"vanished", "running"}:
            break
        job = attempt.process.job if attempt.process else None
        if job is None or job not in jobs:
            jobs.append(job)
    return len(jobs) + past.silent


def repeated_traceback(
    attempts: Mapping[str, Sequence[AttemptState]], *, limit: int
) -> tuple[str, list[str]] | None:
    """One error of the code that stops several shards: its text, and the shards' names.

    Args:
        attempts: Of the shards of one stage, by name, oldest first; the last one counts.
        limit: How many shards must fail with it.
    """
    failed: defaultdict[str, list[str]] = defaultdict(list)
    for shard, made in attempts.items():
        if made and made[-1].state == "failed":
            failed[_kind(made[-1].detail)].append(shard)
    for shards in failed.values():
        if len(shards) >= limit:
            return attempts[shards[-1]][-1].detail, shards
    return None


def _kind(detail: str) -> str:
    """What two tracebacks of one error share: frames and type, or a message but for numbers."""
    frames = _FRAME.findall(detail)
    if not frames:
        return re.sub(r"\d+", "#", detail)
    last = detail.strip().splitlines()[-1]
    return "\n".join([*frames, last.partition(":")[0]])
