"""A job that is told to end, or ended from outside: what its worker does, and who requeues it."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from mtljobs.cluster import slurmctl
from mtljobs.cluster.asking import ask
from mtljobs.ledger import attempts


def soon():
    """In half a minute, as Slurm writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 30))


def family(pid):
    """Processes of the session that a worker leads, and itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


class TestNotice:
    def test_preempted_job_is_told_and_requeued_from_the_host(self, job):
        job.says(JobState="RUNNING", PreemptTime=soon(), EndTime=soon())
        job.start("counts", goal=1000)
        job.tell(signal.SIGUSR2)
        status, attempt = job.end()
        assert (status, attempt.state, attempt.outcome) == (0, "preempted", "preempted")
        assert attempt.detail.startswith("stopped before")
        assert job.calls("scontrol") == ["requeue 7"]

    def test_notice_near_the_time_limit_means_timed_out_and_the_shard_goes_on(self, job):
        job.says(JobState="RUNNING", EndTime=soon())
        job.start("counts", goal=1000)
        job.tell(signal.SIGUSR2)
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "timed out")
        assert job.calls("scontrol") == ["requeue 7"]

    def test_element_is_requeued_by_its_index_as_its_id_may_mean_the_whole_array(self, job):
        job.environment |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
        job.start("counts", "explain-a", "explain-b", goal=1000)
        job.tell(signal.SIGUSR2)
        assert job.end()[1].shard == "explain-b"
        assert job.calls("scontrol") == ["requeue 7_1"]

    def test_shard_that_stops_twice_at_one_place_for_its_time_is_not_requeued_again(self, job):
        for restarts, status in ((0, 0), (1, 1)):
            job.environment["SLURM_RESTART_COUNT"] = str(restarts)
            job.says(JobState="RUNNING", EndTime=soon(), Restarts=str(restarts))
            (job.run.root / "began").unlink(missing_ok=True)
            job.start("still")
            job.tell(signal.SIGUSR2)
            found, attempt = job.end()
            assert (found, attempt.state, attempt.number) == (status, "timed out", restarts + 1)
        assert "longer than the time limit allows. Raise walltime_min" in attempt.detail
        assert job.calls("scontrol") == ["requeue 7"]

    def test_worker_is_told_once_whatever_comes_how_often(self, job):
        job.start("deaf", goal=15)
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGUSR2):
            job.tell(number)
            time.sleep(0.05)
        assert job.end()[1].state == "done"
        assert (job.run.root / "heard").read_text() == "told\n"

    def test_worker_that_breaks_for_the_notice_is_no_error_of_the_code(self, job):
        job.start("breaks when told", goal=1000)
        job.tell(signal.SIGUSR2)
        status, attempt = job.end()
        assert (status, attempt.state, attempt.outcome) == (0, "preempted", "failed")
        assert job.calls("scontrol") == ["requeue 7"]

    def test_worker_that_is_told_before_it_listens_ends_and_is_requeued(self, job):
        job.start("slow")
        job.tell(signal.SIGUSR2)
        status, attempt = job.end()
        assert (status, attempt.state, attempt.signal) == (0, "preempted", signal.SIGUSR2)
        assert job.calls("scontrol") == ["requeue 7"]


class TestEndWithoutNotice:
    def test_job_that_slurm_has_requeued_is_not_requeued_twice(self, job):
        job.says(JobState="COMPLETING", Restarts="1")
        job.start("counts", goal=1000)
        job.tell(signal.SIGTERM)
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "preempted")
        assert attempt.detail.startswith("stopped before")
        assert job.calls("scontrol") == []

    def test_cancelled_job_does_not_live_again(self, job):
        job.says(JobState="COMPLETING")
        job.start("counts", goal=1000)
        job.tell(signal.SIGTERM)
        status, attempt = job.end()
        assert (status, attempt.state) == (1, "cancelled")
        assert job.calls("scontrol") == []

    def test_cause_is_on_record_before_a_worker_is_killed_that_does_not_stop(self, job):
        job.says(JobState="COMPLETING", Reason="TimeLimit")
        job.start("deaf", goal=1000)
        job.tell(signal.SIGTERM)
        job.wait_until(lambda: job.last().state == "timed out")
        worker = job.last().process.pid
        os.kill(job.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        assert job.end()[0] == -signal.SIGKILL
        assert job.last().state == "timed out"

    def test_worker_whose_supervisor_is_killed_writes_its_checkpoint_and_ends(self, job):
        job.start("counts", goal=1000)
        job.tell(signal.SIGKILL)
        assert job.end()[0] == -signal.SIGKILL
        job.wait_until(lambda: job.last().state == "preempted")
        job.wait_until(lambda: family(job.last().process.pid) == [])

    def test_children_of_the_worker_neither_act_on_signals_nor_stay(self, job):
        job.start("forks", goal=1000)
        job.wait_until(lambda: (job.run.root / "began").exists() and len(family(job.worker())) == 3)
        worker = job.worker()
        children = [pid for pid in family(worker) if pid != worker]
        for child in children:
            os.kill(child, signal.SIGTERM)  # as Slurm does
        job.tell(signal.SIGUSR2)
        assert job.end()[1].state == "preempted"
        assert len(attempts.read_shard(job.run.attempts, job.shard)) == 1
        assert family(worker) == []


class TestRequeueRefused:
    def test_attempt_stands_where_the_job_may_not_be_requeued(self, job):
        job.says(JobState="RUNNING", Requeue="0")
        job.start("counts", goal=1000)
        job.tell(signal.SIGUSR2)
        job.wait_until(lambda: "not requeued: this job may not be requeued" in job.last().detail)
        os.kill(job.pid, signal.SIGTERM)  # it stays to be ended, as Slurm may requeue it then
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "preempted")
        assert job.calls("scontrol") == []

    def test_controller_that_does_not_answer_costs_no_checkpoint(self, job):
        job.is_silent()
        job.start("counts", goal=1000)
        job.tell(signal.SIGUSR2)
        job.wait_until(lambda: "not requeued: slurmctld does not answer" in job.last().detail)
        (job.folder / "silent").unlink()
        job.says(JobState="COMPLETING", Reason="TimeLimit")
        os.kill(job.pid, signal.SIGTERM)
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "timed out")  # by then it is known
        assert job.calls("scontrol") == []

    def test_controller_that_hangs_is_not_waited_for(self, job, monkeypatch):
        (job.folder / "scontrol").write_text("#!/bin/sh\nexec sleep 60\n")
        monkeypatch.setenv("PATH", job.environment["PATH"])
        monkeypatch.setattr(slurmctl, "ask", partial(ask, timeout_s=0.1))
        this = slurmctl.Job.current(job.environment)
        assert slurmctl.describe(this) is None
        assert slurmctl.requeue(this) == "`scontrol` did not answer within 0.1 s"
