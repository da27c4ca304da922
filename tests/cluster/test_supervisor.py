"""The supervisor of one attempt, between a Slurm of two small scripts and a worker that counts."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mtljobs.cluster import slurmctl
from mtljobs.cluster.asking import ask
from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.profiles import remember_profile
from mtljobs.ledger import attempts
from mtljobs.ledger.paths import create_folder
from mtljobs.plan.frozen import newest_plan, read_newest
from mtljobs.settings.profile import Profile

HERE = Path(__file__).parent

# Answers from files; ends what it requeues, as Slurm does.
SCONTROL = """#!/bin/sh
cd "${0%/*}" && echo "scontrol $*" >> calls
if [ -e silent ]; then echo "Unable to contact slurm controller" >&2; exit 1; fi
case "$1" in
show) cat job ;;
requeue)
    sed -i 's/Restarts=0/Restarts=1/; s/State=RUNNING/State=COMPLETING/' job
    kill -TERM "$PPID" ;;
esac
"""
SCANCEL = """#!/bin/sh
cd "${0%/*}" && echo "scancel $*" >> calls
"""


class Job:
    """One job with its supervisor, in a run of its own."""

    def __init__(self, run, folder, nursery):
        self.run, self.folder, self.nursery = run, folder, nursery
        self.environment = {
            "PATH": f"{folder}:{os.defpath}",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CACHE_HOME": str(folder),
            "SLURM_JOB_ID": "7",
            "SLURM_MEM_PER_NODE": "2048",
        }
        self.output = folder / "output.txt"
        self.image = folder / "image.sif"
        self.image.write_bytes(b"SIF")
        self.submission = new_submission(run)
        for name, text in {"scontrol": SCONTROL, "scancel": SCANCEL}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.says(JobState="RUNNING")

    def says(self, **words):
        """What slurmctld shall say of the job from now on."""
        usual = {"Reason": "None", "Requeue": "1", "Restarts": "0", "PreemptTime": "None"}
        usual |= {"EndTime": "2099-01-01T00:00:00"}
        line = " ".join(f"{key}={value}" for key, value in (usual | words).items())
        (self.folder / "job").write_text(f"JobId=7 {line}\n")

    def is_silent(self):
        """Let slurmctld not answer any more."""
        (self.folder / "silent").touch()

    def start(self, behaviour, *shards, goal=4, **profile):
        """Start the supervisor of a job whose worker behaves so."""
        self.environment["MTLJOBS_GOAL"] = str(goal)
        remember_profile(self.run, Profile(notice_s=10, **profile))
        plan = newest_plan(self.run)
        names = shards or ("explain-a-0-0-0-0123456789ab",)
        Marker("explain", tuple(names), str(plan), memory_gb=2, round=0).write(self.submission)
        worker = [str(HERE / "light_worker.py"), behaviour, str(self.submission)]
        self.shard = names[int(self.environment.get("SLURM_ARRAY_TASK_ID", "0"))]
        order = {"environment": self.environment, "arguments": worker, "output": str(self.output)}
        self.nursery.stdin.write(json.dumps(order) + "\n")
        self.nursery.stdin.flush()
        self.pid = int(self.nursery.stdout.readline())

    def tell(self, number, *, begun=True):
        """Send the supervisor a signal, once its worker is at work."""
        wait_until((self.run.root / "began").exists if begun else self.output.exists)
        os.kill(self.pid, number)

    def end(self):
        """Exit status of the supervisor, and the last attempt that it was about."""
        status = int(self.nursery.stdout.readline())
        return status, self.last()

    def last(self):
        """The newest attempt."""
        return attempts.read_shard(self.run.attempts, self.shard)[-1]

    def worker(self):
        """Its pid."""
        return self.last().process.pid

    def calls(self, command):
        """Arguments of each call of one of Slurm's commands, but for questions."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        calls = [line.removeprefix(f"{command} ") for line in lines if line.startswith(command)]
        return [call for call in calls if not call.startswith("show")]


def wait_until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def nursery():
    command = [sys.executable, str(HERE / "supervisor_nursery.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def job(run, tmp_path, nursery):
    return Job(run, create_folder(tmp_path / "bin"), nursery)


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


class TestWorkersWord:
    @pytest.mark.parametrize(("behaviour", "state"), [("counts", "done"), ("duplicate",) * 2])
    def test_good_end_of_the_worker_is_that_of_the_job(self, job, behaviour, state):
        job.start(behaviour)
        status, attempt = job.end()
        assert (status, attempt.state, attempt.exit_code) == (0, state, 0)
        assert not (job.folder / "calls").exists()  # nobody asks Slurm for what goes well

    def test_done_counts_though_the_job_was_about_to_be_preempted(self, job):
        job.start("finishes when told")
        job.tell(signal.SIGUSR2)
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "done")
        assert job.calls("scontrol") == []

    def test_error_of_the_code_fails_and_is_not_tried_again(self, job):
        job.start("fails")
        status, attempt = job.end()
        assert (status, attempt.state, attempt.exit_code) == (1, "failed", 1)
        assert attempt.detail.endswith("ValueError: no such thing\n")
        assert job.calls("scontrol") == []

    def test_leftover_of_a_killed_submitit_does_not_block_the_next_one(self, job):
        left = [job.submission / f"{number}_0_result.pkl.save_tmp" for number in (7, 70)]
        for path in left:
            path.touch()
        job.start("counts")
        assert job.end()[0] == 0
        assert [path.exists() for path in left] == [False, True]


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
        wait_until(lambda: job.last().state == "timed out")
        worker = job.last().process.pid
        os.kill(job.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        assert job.end()[0] == -signal.SIGKILL
        assert job.last().state == "timed out"

    def test_worker_whose_supervisor_is_killed_writes_its_checkpoint_and_ends(self, job):
        job.start("counts", goal=1000)
        job.tell(signal.SIGKILL)
        assert job.end()[0] == -signal.SIGKILL
        wait_until(lambda: job.last().state == "preempted")
        wait_until(lambda: family(job.last().process.pid) == [])

    def test_children_of_the_worker_neither_act_on_signals_nor_stay(self, job):
        job.start("forks", goal=1000)
        wait_until(lambda: (job.run.root / "began").exists() and len(family(job.worker())) == 3)
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
        wait_until(lambda: "not requeued: this job may not be requeued" in job.last().detail)
        os.kill(job.pid, signal.SIGTERM)  # it stays to be ended, as Slurm may requeue it then
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "preempted")
        assert job.calls("scontrol") == []

    def test_controller_that_does_not_answer_costs_no_checkpoint(self, job):
        job.is_silent()
        job.start("counts", goal=1000)
        job.tell(signal.SIGUSR2)
        wait_until(lambda: "not requeued: slurmctld does not answer" in job.last().detail)
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


class TestSuddenEnd:
    def test_killed_worker_vanished_as_nobody_knows_why(self, job):
        job.start("dies")
        status, attempt = job.end()
        assert (status, attempt.state, attempt.signal) == (1, "vanished", signal.SIGKILL)

    def test_killed_worker_that_was_as_large_as_its_job_gets_more_memory(self, job):
        job.environment["SLURM_MEM_PER_NODE"] = "16"  # less than an interpreter with numpy
        job.start("dies")
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "out of memory")
        assert attempt.detail == "0.015625 GB were too few; the next attempt gets 0.0234375 GB"
        assert job.calls("scontrol") == ["requeue 7", "update JobId=7 MinMemoryNode=24"]

    def test_memory_is_not_raised_beyond_the_cap_of_the_profile(self, job):
        job.environment["SLURM_MEM_PER_NODE"] = "16"
        job.start("dies", memory_max_gb=0.015625)
        status, attempt = job.end()
        assert (status, attempt.state) == (1, "out of memory")
        assert "memory_max_gb of the profile allows no more" in attempt.detail
        assert job.calls("scontrol") == []

    def test_crash_is_an_error_of_the_code_told_by_the_output(self, job):
        job.start("crashes")
        status, attempt = job.end()
        assert (status, attempt.state, attempt.signal) == (1, "failed", signal.SIGABRT)
        assert "ended with SIGABRT" in attempt.detail
        assert attempt.detail.endswith("free(): invalid pointer")


class TestWorkerThatNeverBegan:
    def test_it_has_an_attempt_that_failed_with_the_end_of_its_output(self, job):
        job.output.write_text("what the attempt before wrote\n")
        job.start("unstarted")
        status, attempt = job.end()
        assert (status, attempt.state, attempt.exit_code) == (1, "failed", 1)
        assert attempt.detail == (
            "the worker ended with exit code 1 and without a word:\nImportError: no such module"
        )

    def test_missing_file_of_submitit_is_nobodys_error_and_is_tried_again(self, job):
        job.start("file missing")
        status, attempt = job.end()
        assert (status, attempt.state) == (1, "vanished")
        assert "could not find submitted jobs" in attempt.detail

    def test_node_without_apptainer_is_no_error_of_the_code(self, job):
        job.environment["PATH"] = str(job.folder)
        shard = read_newest(job.run).shards[0].name
        job.start("counts", shard, image=str(job.image))
        status, attempt = job.end()
        assert (status, attempt.state) == (1, "vanished")
        assert "the worker cannot be started" in attempt.detail
        assert "apptainer" in attempt.detail

    def test_error_of_the_supervisor_is_on_record_too(self, job):
        job.start("counts", "of no plan", image=str(job.image))
        status, attempt = job.end()
        assert (status, attempt.state) == (1, "failed")
        assert "Traceback" in attempt.detail


class TestArray:
    def test_waiting_elements_are_cancelled_once_three_shards_failed_alike(self, job):
        names = [f"explain-{index}" for index in range(5)]
        for index in range(3):
            assert job.calls("scancel") == []
            job.environment |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(index)}
            job.environment["SLURM_JOB_ID"] = str(8 + index)
            job.start("fails", *names)
            assert job.end()[1].state == "failed"
        assert job.calls("scancel") == ["--state=PENDING 7"]


class TestEnvironment:
    def test_umask_of_the_profile_holds_for_what_the_job_writes(self, job):
        job.start("counts", umask="007")
        job.end()
        modes = {path.stat().st_mode & 0o777 for path in job.run.attempts.iterdir()}
        assert modes == {0o660}

    def test_worker_runs_in_the_image_and_knows_its_job(self, job):
        script = f"""#!/bin/sh
env | grep ^APPTAINERENV_ > "{job.folder}/inside"
while [ "$1" != {job.image} ]; do shift; done
shift 2
exec {sys.executable} "$@"
"""
        (job.folder / "apptainer").write_text(script)
        (job.folder / "apptainer").chmod(0o755)
        shard = read_newest(job.run).shards[0].name
        job.start("counts", shard, image=str(job.image))
        status, attempt = job.end()
        assert (status, attempt.state) == (0, "done")
        inside = (job.folder / "inside").read_text().splitlines()
        assert "APPTAINERENV_SLURM_JOB_ID=7" in inside
        assert "APPTAINERENV_SUBMITIT_PREEMPT_SIGNAL=PWR" in inside
        digest = hashlib.sha256(b"SIF").hexdigest()
        assert f"APPTAINERENV_MTLJOBS_IMAGE_DIGEST={digest}" in inside
