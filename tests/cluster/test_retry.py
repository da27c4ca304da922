"""What is tried again, decided from attempts that nobody made."""

from __future__ import annotations

import dataclasses

import pytest

from mtljobs.cluster.retry import Decision, Past, decide, repeated_traceback
from mtljobs.ledger.attempts import AttemptState
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources, Retry

PROCESS = ProcessIdentity("n1", "boot", "ns", 1, "0", job=None, restarts=0)
TRACEBACK = 'Traceback:\n  File "a.py", line 3, in run\n    x\nValueError: seed {}'


def ended(*states, detail="", jobs=None):
    """Attempts that came to these ends, each in a job of its own."""
    jobs = jobs or [str(number) for number in range(1, len(states) + 1)]
    return tuple(
        AttemptState(
            shard="s", number=number, state=state, detail=detail, started=0.0, last_sign=1.0,
            process=dataclasses.replace(PROCESS, job=job), device="cpu", image="",
            exit_code=None, signal=None,
        )
        for number, (state, job) in enumerate(zip(states, jobs, strict=True), start=1)
    )  # fmt: skip


def decided(*states, memory_max_gb=64.0, retry=None, **past):
    resources = Resources(memory_gb=16, retry=retry or Retry())
    detail = past.pop("detail", "")
    jobs = past.pop("jobs", None)
    return decide(
        Past(ended(*states, detail=detail, jobs=jobs), **past),
        resources=resources,
        profile=Profile(memory_max_gb=memory_max_gb),
    )


def test_shard_that_was_never_tried_is_submitted_with_the_plans_memory():
    assert decided() == Decision(again=True, memory_gb=16)


@pytest.mark.parametrize("state", ["preempted", "node lost", "waiting", "timed out", "duplicate"])
def test_what_nobody_can_help_is_tried_again_however_often(state):
    assert decided(*[state] * 50).again


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_error_of_the_code_and_a_users_wish_stand(state):
    assert decided("preempted", state) == Decision(False, 16, state)


def test_memory_grows_by_the_factor_up_to_the_cap_and_then_it_ends():
    kill = "out of memory"
    assert [decided(*[kill] * kills, memory_max_gb=30).memory_gb for kills in (1, 2)] == [24, 30]
    assert decided(kill, kill, memory_max_gb=30).again
    last = decided(kill, kill, kill, memory_max_gb=30)
    assert not last.again
    assert "out of memory with 30 GB, and memory_max_gb allows no more" in last.reason


def test_memory_stays_larger_when_the_next_attempt_ends_of_something_else():
    assert decided("out of memory", "preempted").memory_gb == 24


def test_cap_below_the_plans_memory_takes_nothing_away_from_it():
    found = decided("out of memory", memory_max_gb=8)
    assert (found.again, found.memory_gb) == (False, 16)


def test_jobs_that_end_without_a_word_are_tried_as_often_as_the_policy_says():
    retry = Retry(vanished=2)
    assert decided("vanished", "vanished", retry=retry).again
    found = decided("vanished", "vanished", "vanished", retry=retry)
    assert not found.again
    assert "3 jobs in a row ended without a word: `mtljobs logs`" in found.reason
    assert decided("vanished", "vanished", "preempted", "vanished", retry=retry).again


def test_attempts_of_one_job_that_slurm_requeued_count_once():
    assert decided(*["vanished"] * 9, jobs=["7"] * 9, retry=Retry(vanished=1)).again


def test_jobs_that_never_began_an_attempt_count_as_vanished():
    retry = Retry(vanished=1)
    assert decided("vanished", silent=0, retry=retry).again
    assert not decided("vanished", silent=1, retry=retry).again
    assert not decided(silent=2, retry=retry).again
    assert decided("failed", silent=1, retry=retry).again  # it was submitted again since


def test_attempt_that_looks_alive_in_a_job_that_is_gone_is_one_without_a_word():
    assert decided("running").again
    assert not decided("running", retry=Retry(vanished=0)).again


@pytest.mark.parametrize(
    "past", [{"got_further": False}, {"detail": "no further than the attempt before (step 3)"}]
)
def test_time_limit_that_is_too_short_for_any_progress_is_told(past):
    found = decided("timed out", **past)
    assert not found.again
    assert "takes longer than the time limit allows: raise walltime_min" in found.reason


def test_resume_by_hand_forgives_all_but_the_memory_that_is_known_to_lack():
    states = ("out of memory", "failed", "vanished", "vanished", "vanished", "vanished")
    assert decided(*states).again is False
    assert decided(*states, forgiven=6) == Decision(again=True, memory_gb=24)


def test_reason_counts_the_ends():
    found = decided("preempted", "preempted", "preempted", "out of memory", "vanished", "vanished")
    assert found.reason == "preempted 3 times, out of memory, vanished twice"


class TestRepeatedTraceback:
    def found(self, *details, limit=3):
        attempts = {
            f"s{index}": ended("failed", detail=detail) for index, detail in enumerate(details)
        }
        return repeated_traceback(attempts, limit=limit)

    def test_one_error_at_one_place_is_one_whatever_its_numbers(self):
        error, shards = self.found(*(TRACEBACK.format(seed) for seed in range(3)))
        assert (error, shards) == (TRACEBACK.format(2), ["s0", "s1", "s2"])

    def test_errors_at_other_places_or_fewer_of_them_stop_nothing(self):
        other = TRACEBACK.replace("line 3", "line 4")
        assert self.found(TRACEBACK, TRACEBACK, other) is None
        assert self.found(TRACEBACK, TRACEBACK) is None

    def test_shard_that_was_done_since_does_not_count(self):
        attempts = {f"s{index}": ended("failed", detail=TRACEBACK) for index in range(3)}
        attempts["s1"] = (*attempts["s1"], *ended("preempted"))
        assert repeated_traceback(attempts, limit=3) is None
