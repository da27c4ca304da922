"""A worker that is asked to stop in the middle of an explanation."""

from __future__ import annotations

import os
import signal

import pytest

from mtljobs.explain import batches
from mtljobs.stages import explain

MOMENTS = {"between images": (explain, "_write_checkpoint"), "inside an image": (batches, "_rate")}


@pytest.mark.parametrize("moment", MOMENTS)
def test_explanation_that_is_stopped_goes_on_to_the_same_bytes(
    desk, finished_desk, tree, monkeypatch, moment
):
    room, name = MOMENTS[moment]
    work = getattr(room, name)
    calls = 0

    def stopped(*arguments):
        nonlocal calls
        calls += 1
        if calls == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return work(*arguments)

    monkeypatch.setattr(room, name, stopped)
    first = desk.shard("explain")
    ends = desk.work("explain")
    assert ends.pop(first.name) == "preempted"
    assert set(ends.values()) == {"done"}
    kept = list((desk.run.root / "work").rglob("*.bin"))
    assert len(kept) == 1  # of the shard's two images; the one that was begun was finished
    assert desk.work()["reduce"] == "done"
    assert tree(desk.run.store) == tree(finished_desk.run.store)
