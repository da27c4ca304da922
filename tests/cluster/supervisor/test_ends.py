"""A worker that ends by itself, well or badly, or never begins: what the supervisor makes of it."""

from __future__ import annotations

import hashlib
import signal
import sys

import pytest

from mtljobs.plan.frozen import read_newest


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
