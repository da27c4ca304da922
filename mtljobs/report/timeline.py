"""The attempts of a run: when each ran, and how it ended.

The only part of the page that holds times: all others are the same bytes for the same results.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from mtljobs.errors import counted
from mtljobs.ledger.attempts import AttemptState, read_attempts
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import read_newest
from mtljobs.report.effort import LOSS_RULE, STAGES, Effort, add_up, format_hours, stage_of
from mtljobs.report.gantt import LOOKS, draw_attempts, draw_legend
from mtljobs.report.markup import Markup, element, join, table, wide
from mtljobs.settings.resources import Resources


def timeline(folder: RunFolder) -> Markup:
    """What the run's attempts tell: their times, their ends, and what they cost."""
    attempts = list(itertools.chain.from_iterable(read_attempts(folder.attempts).values()))
    if not attempts:
        return element("p", "This run has no attempts on record.")
    plan = read_newest(folder)
    known = {} if plan is None else plan.resources
    every_s = float(known.get("checkpoint_every_s", Resources().checkpoint_every_s))
    return join(
        [
            element("p", _summary(attempts, add_up(attempts, checkpoint_every_s=every_s))),
            wide(draw_attempts(attempts), draw_legend()),
            _effort_table(attempts, every_s),
            element(
                "p",
                f"{LOSS_RULE} Here that time is {every_s:g} s. GPU-hours are those of attempts on "
                "a machine whose GPU they could see. Where nobody wrote an end, an attempt's time "
                "goes to its last sign of life, given once a minute. Networks that another run "
                "of the workspace trained are not in here.",
                attributes={"class": "note"},
            ),
        ],
        "\n",
    )


def _summary(attempts: Sequence[AttemptState], total: Effort) -> str:
    begin = min(attempt.started for attempt in attempts)
    days = [
        f"{datetime.fromtimestamp(at, UTC):%d %B %Y, %H:%M}"
        for at in (begin, max(attempt.last_sign for attempt in attempts))
    ]
    devices = sorted({attempt.device or "unknown" for attempt in attempts})
    shards = {attempt.shard for attempt in attempts}
    done = f"{counted(len(attempts), 'attempt')} at {counted(len(shards), 'shard')}"
    preempted = counted(total.outcomes["preempted"], "attempt")
    return (
        f"{done}, from {days[0]} to {days[1]} (UTC), on {', '.join(devices)}: "
        f"{format_hours(total.hours)} of computing, {format_hours(total.gpu_hours)} of them with a "
        f"GPU. Preempted: {preempted}; at most {format_hours(total.lost_hours)} had to be computed "
        "again."
    )


def _effort_table(attempts: Sequence[AttemptState], every_s: float) -> Markup:
    present = {attempt.state for attempt in attempts}
    states = [state for look in LOOKS.values() for state in look if state in present]
    parts = {
        stage: [attempt for attempt in attempts if stage_of(attempt) == stage] for stage in STAGES
    }
    body = []
    for name, chosen in {**parts, "all": attempts}.items():
        if chosen:
            effort = add_up(chosen, checkpoint_every_s=every_s)
            hours = (effort.hours, effort.gpu_hours, effort.lost_hours)
            counts = [f"{effort.outcomes[state] or '-'}" for state in states]
            body.append([name, *counts, *map(format_hours, hours)])
    header = ["attempts by stage", *states, "computing", "with a GPU", "lost, at most"]
    return table(header, body, kind="numbers")
