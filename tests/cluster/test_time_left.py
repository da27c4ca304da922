"""How long a run will still take, from made-up attempts."""

from __future__ import annotations

import pytest

from mtljobs.cluster.states import RunState, ShardState
from mtljobs.ledger.attempts import AttemptState
from mtljobs.plan.frozen import read_newest


def made_up(shard, state, seconds):
    return AttemptState(
        shard=shard, number=1, state=state, detail="", started=1000.0, last_sign=1000.0 + seconds,
        process=None, device="cpu", image="", exit_code=None, signal=None,
    )  # fmt: skip


@pytest.fixture
def left(run, shards):
    """Seconds left where some shards are done after so many seconds, or in another state."""

    def estimate(slots=1, **known):
        known = {key.replace("_", "-"): value for key, value in known.items()}
        states = {}
        for key, shard in shards.items():
            value = known.get(key, "ready")
            is_done = not isinstance(value, str)
            seconds = value if is_done else 77
            name = "done" if is_done else value
            attempt = made_up(shard.name, name, seconds)
            states[shard.name] = ShardState(shard, name, () if name == "ready" else (attempt,))
        plan = read_newest(run)
        reduction = ShardState(plan.shards[-1], "ready")
        state = RunState(run, run.plans / "0001.jsonl", plan, states, reduction)
        return state.seconds_left(slots)

    return estimate


def test_nothing_is_known_before_the_first_shard_is_done(left):
    assert left() is None
    assert left(dense="failed", train="running") is None


def test_stages_without_a_finished_shard_take_as_long_as_the_others(left):
    # 10 s for each of the ten others.
    assert left(segment=10) == 100


def test_each_stage_takes_its_own_mean(left):
    # Left: 1 train of (20 + 40) / 2, then prune, 2 evaluate, 4 explain of (30 + 10) / 2.
    assert left(segment=10, dense=20, train=40) == 30 + 7 * 20


def test_slots_share_the_work(left):
    assert left(slots=2, segment=10) == 50
    assert left(slots=0, segment=10) == 100


def test_failed_and_running_shards_are_still_to_be_done(left):
    assert left(segment=10, dense="failed", train="running") == 100


def test_time_of_failed_attempts_says_nothing(left):
    assert left(segment=10, dense="failed") == 100


def test_nothing_is_left_when_all_is_done(left, shards):
    assert left(**{key.replace("-", "_"): 5 for key in shards}) == 0
