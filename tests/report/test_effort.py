from __future__ import annotations

from dataclasses import replace

import pytest

from mtljobs.ledger.attempts import AttemptState
from mtljobs.report.effort import add_up, lost_s

DONE = AttemptState(
    shard="train-aaaaaaaaaaaa", number=1, state="done", detail="", started=1000.0, last_sign=4600.0,
    process=None, device="NVIDIA H200", image="", exit_code=0, signal=None, outcome="done",
)  # fmt: skip
EVERY_S = 300.0


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 0.0),
        # Asked to stop in time, whatever the host then called it: saved first.
        ({"state": "preempted", "outcome": "preempted"}, 0.0),
        ({"state": "timed out", "outcome": "preempted"}, 0.0),
        # Killed: at most what came after the last checkpoint.
        ({"state": "preempted", "outcome": None}, EVERY_S),
        ({"state": "vanished", "outcome": None}, EVERY_S),
        ({"state": "out of memory", "outcome": None, "last_sign": 1100.0}, 100.0),
        ({"shard": "explain-a-0-0-0-aaaaaaaaaaaa", "state": "node lost", "outcome": None}, 0.0),
        # No checkpoint: all of it, even where it was asked.
        ({"shard": "evaluate-a-0-0-aaaaaaaaaaaa", "state": "preempted", "outcome": "preempted"},
         3600.0),
        ({"state": "duplicate", "outcome": "duplicate"}, 3600.0),
        ({"state": "running", "outcome": None}, 0.0),
    ],
)  # fmt: skip
def test_lost_work_follows_the_rule(changes: dict, seconds: float) -> None:
    assert lost_s(replace(DONE, **changes), EVERY_S) == seconds


def test_hours_leave_out_who_waited_and_know_who_had_a_gpu() -> None:
    waited = replace(DONE, state="waiting", outcome="waiting")
    on_cpu = replace(DONE, device="cpu", last_sign=2800.0)
    unknown = replace(DONE, device="", state="failed", outcome="failed")
    effort = add_up([DONE, waited, on_cpu, unknown], checkpoint_every_s=EVERY_S)
    assert effort.outcomes == {"done": 2, "waiting": 1, "failed": 1}
    assert (effort.hours, effort.gpu_hours) == (2.5, 1.0)
    assert effort.lost_hours == pytest.approx(300 / 3600)
