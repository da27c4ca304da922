"""What a run cost: its attempts by stage and outcome, hours of computing, and what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from mtljobs.contracts import Stage
from mtljobs.ledger.attempts import AttemptState, State

STAGES: tuple[str, ...] = get_args(Stage)

RESUMES = frozenset({"train", "explain"})
"""Stages that go on from a checkpoint; all others begin anew."""

KEPT: tuple[State, ...] = ("done", "running", "waiting")
"""Ends that throw no work away; who waited did none."""

LOSS_RULE = (
    "Lost is what had to be computed again, as far as attempts know. An attempt at a stage without "
    "checkpoints that did not finish lost all of its time, and so did one that found its shard "
    "done by another. A training or an explanation that was asked to stop in time lost nothing, "
    "as it saved first; one that ended in any other way lost what came after its last checkpoint: "
    "of a training this is counted as the longest time between two checkpoints, of an "
    "explanation it is less than one image, and not counted."
)


@dataclass(frozen=True)
class Effort:
    """What some attempts cost.

    Attributes:
        outcomes: Attempts by what they are now.
        hours: From start to end or last sign of life, without those that only waited.
        gpu_hours: The same of those that ran where a GPU was.
        lost_hours: At most so many of `hours` had to be computed again; see `LOSS_RULE`.
    """

    outcomes: Counter[State]
    hours: float
    gpu_hours: float
    lost_hours: float


def add_up(attempts: Sequence[AttemptState], *, checkpoint_every_s: float) -> Effort:
    """What attempts cost together.

    Args:
        checkpoint_every_s: Longest time between two checkpoints of a training.
    """
    working = [attempt for attempt in attempts if attempt.state != "waiting"]
    return Effort(
        outcomes=Counter(attempt.state for attempt in attempts),
        hours=_hours(map(duration_s, working)),
        gpu_hours=_hours(duration_s(attempt) for attempt in working if has_gpu(attempt)),
        lost_hours=_hours(lost_s(attempt, checkpoint_every_s) for attempt in working),
    )


def stage_of(attempt: AttemptState) -> str:
    """The stage that the attempt's shard is named after."""
    return attempt.shard.partition("-")[0]


def has_gpu(attempt: AttemptState) -> bool:
    """Whether it computed on anything but processors; False where nobody knows."""
    return attempt.device not in {"", "cpu"}


def duration_s(attempt: AttemptState) -> float:
    """From its start to its end, or its last sign of life."""
    return max(0.0, attempt.last_sign - attempt.started)


def lost_s(attempt: AttemptState, checkpoint_every_s: float) -> float:
    """Seconds of an attempt that had to be computed again, at most; see `LOSS_RULE`."""
    if attempt.state in KEPT:
        return 0.0
    stage = stage_of(attempt)
    if attempt.state == "duplicate" or stage not in RESUMES:
        return duration_s(attempt)
    saved_first = attempt.outcome == "preempted"  # the worker's own word: it was asked to stop
    if saved_first or stage == "explain":
        return 0.0
    return min(duration_s(attempt), checkpoint_every_s)


def _hours(seconds: Iterable[float]) -> float:
    return sum(seconds) / 3600


def format_hours(hours: float) -> str:
    """Hours as people read them.

    Example:
        >>> format_hours(0), format_hours(0.004), format_hours(0.5), format_hours(1234.56)
        ('0 h', '14 s', '30.0 min', '1,234.6 h')
    """
    if hours == 0:
        return "0 h"
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.1f} min" if hours < 1 else f"{hours:,.1f} h"
