from __future__ import annotations

import dataclasses
import signal

import pytest

from mtljobs.cluster.causes import End, Notice, Seen, find_cause
from mtljobs.cluster.slurmctl import JobView

NOW = 1_800_000_000.0
RUNNING = JobView(
    states=frozenset({"RUNNING"}),
    reason="None",
    restarts=2,
    may_requeue=True,
    ends_at=None,
    is_preempted=False,
)
ENDING = dataclasses.replace(RUNNING, states=frozenset({"COMPLETING"}))
TOLD = Notice(signal.SIGUSR2, NOW)
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in run\n'


def cause(**changes):
    """Of an attempt of a job that was requeued twice before, and warned 120 s before its end."""
    usual = {
        "outcome": None, "detail": "", "end": End(), "notice": None, "job": None, "restarts": 2,
        "ends_at": None, "notice_s": 120,
    }  # fmt: skip
    return find_cause(Seen(**(usual | changes)))


@pytest.mark.parametrize("outcome", ["done", "duplicate", "waiting"])
def test_what_the_worker_finished_needs_no_cause(outcome):
    seen = {"notice": TOLD, "job": ENDING, "end": End(signal=9, out_of_memory=True)}
    assert cause(outcome=outcome, **seen) is None


@pytest.mark.parametrize(
    ("seconds_left", "expected"),
    [(120, "timed out"), (180, "timed out"), (181, "preempted"), (3600, "preempted")],
)
def test_a_notice_up_to_a_minute_early_means_the_time_limit(seconds_left, expected):
    assert cause(notice=TOLD, ends_at=NOW + seconds_left, job=RUNNING) == expected


def test_a_notice_of_a_job_without_a_time_limit_means_preemption():
    assert cause(notice=TOLD, job=RUNNING) == "preempted"
    assert cause(notice=TOLD) == "preempted"


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        # Seen on Slurm 22.05: it hides what a job becomes while its processes are being ended.
        (dataclasses.replace(RUNNING, is_preempted=True), "preempted"),
        (dataclasses.replace(ENDING, restarts=3), "preempted"),
        (dataclasses.replace(RUNNING, restarts=3, states=frozenset({"PENDING"})), "node lost"),
        (dataclasses.replace(ENDING, reason="TimeLimit"), "timed out"),
        (ENDING, "cancelled"),
        # Where it says so.
        (dataclasses.replace(ENDING, states=frozenset({"COMPLETING", "PREEMPTED"})), "preempted"),
        (dataclasses.replace(ENDING, states=frozenset({"CANCELLED"})), "cancelled"),
        (dataclasses.replace(ENDING, states=frozenset({"TIMEOUT", "COMPLETING"})), "timed out"),
        (dataclasses.replace(ENDING, states=frozenset({"OUT_OF_MEMORY"})), "out of memory"),
        (dataclasses.replace(ENDING, states=frozenset({"NODE_FAIL"})), "node lost"),
    ],
)
@pytest.mark.parametrize("outcome", ["preempted", "failed", None])
def test_slurms_word_counts_more_than_the_clock_and_the_worker(view, expected, outcome):
    assert cause(outcome=outcome, notice=TOLD, ends_at=NOW + 60, job=view) == expected


def test_an_error_after_the_notice_is_the_notices_doing():
    assert cause(outcome="failed", detail=TRACEBACK, notice=TOLD, job=RUNNING) == "preempted"


def test_the_workers_word_stands_where_nobody_told_it_to_stop():
    assert cause(outcome="failed", detail=TRACEBACK, end=End(exit_code=1)) is None
    assert cause(outcome="preempted", detail="stopped", end=End(exit_code=0)) is None


class TestMemory:
    @pytest.mark.parametrize("end", [End(signal=9), End(exit_code=1), End(exit_code=9)])
    def test_a_kill_by_the_kernel_is_out_of_memory_however_the_worker_ended(self, end):
        killed = dataclasses.replace(end, out_of_memory=True)
        assert cause(end=killed) == "out of memory"
        # As where a process that loads images was killed, and the worker saw it.
        assert cause(outcome="failed", detail=TRACEBACK, end=killed) == "out of memory"

    def test_a_kill_that_the_worker_survived_is_no_cause(self):
        end = End(exit_code=0, out_of_memory=True)
        assert cause(outcome="preempted", notice=TOLD, job=RUNNING, end=end) == "preempted"

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            ("MemoryError", "out of memory"),
            (
                "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB",
                "out of memory",
            ),
            ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate", "out of memory"),
            # More memory of the host does not help a GPU.
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB", None),
            ("ValueError: a MemoryError", None),
        ],
    )
    def test_only_what_more_memory_may_cure_is_out_of_memory(self, last, expected):
        assert cause(outcome="failed", detail=TRACEBACK + last) == expected


class TestWithoutAWord:
    def test_a_killed_worker_vanished(self):
        assert cause(end=End(signal=signal.SIGKILL)) is None
        assert cause(end=End(signal=signal.SIGBUS)) is None

    def test_a_crash_is_an_error_of_the_code(self):
        assert cause(end=End(signal=signal.SIGSEGV)) == "failed"

    @pytest.mark.parametrize("code", [0, 1, 255])
    def test_an_exit_is_an_error_of_the_code(self, code):
        assert cause(end=End(exit_code=code), detail="ImportError") == "failed"

    def test_a_worker_that_never_started_is_not(self):
        assert cause(end=End(), detail="the worker cannot be started") is None
