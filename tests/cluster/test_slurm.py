"""Arrays as they are handed to a Slurm of small scripts, which write down what they were asked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from mtljobs.cluster.marker import find_submissions
from mtljobs.cluster.profiles import remember_profile
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.queue import cancel_jobs, read_queue, release
from mtljobs.cluster.submission import freeze
from mtljobs.cluster.sweep import submit_run
from mtljobs.errors import UserError
from mtljobs.ledger import claims
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.profile import Profile

STAGES = [
    ("segment", 1), ("train", 2), ("prune", 1), ("evaluate", 1), ("explain", 2), ("train", 1),
    ("evaluate", 1), ("explain", 2),
]  # fmt: skip


@pytest.fixture
def slurm(fake_slurm):
    return fake_slurm


def submit(run):
    return submit_run(run, retry_failed=False).jobs


def names(run, job):
    """The shards of a job, as its marker says."""
    return next(mark.shards for mark in find_submissions(run).values() if mark.job == job)


class TestArrays:
    def test_each_array_waits_for_the_arrays_that_hold_its_parents(self, slurm, submitted):
        run = submitted()
        jobs = submit(run)
        array_of = {name: job for job in jobs for name in names(run, job)}
        plan = read_newest(run)
        for shard in plan.shards[:-1]:
            option = slurm.options(array_of[shard.name]).get("dependency", "afterany")
            kind, *waits = option.split(":")
            assert kind == "afterany"
            assert {array_of[parent] for parent in shard.parents} <= set(waits)
            assert array_of[shard.name] not in waits
        assert set(array_of) == {shard.name for shard in plan.shards[:-1]}

    def test_shards_of_one_stage_and_depth_are_one_array(self, slurm, submitted):
        run = submitted()
        assert [(slurm.stage(job), len(names(run, job))) for job in submit(run)] == STAGES

    def test_array_is_split_where_the_cluster_wants_shorter_ones(self, slurm, submitted):
        slurm.set_longest(3)
        run = submitted("study", ("seeds = [0]", "seeds = [0, 1, 2, 3]"))
        trainings = [job for job in submit(run) if slurm.stage(job) == "train"]
        assert [len(names(run, job)) for job in trainings] == [3, 3, 2, 3, 1]
        assert slurm.options(trainings[0])["array"] == "0-2%3"
        first = [shard.name for shard in read_newest(run).shards if shard.stage == "train"]
        assert set(first) == {name for job in trainings for name in names(run, job)}

    def test_job_asks_for_the_resources_of_the_plan(self, slurm, workspace, grid_file):
        grid = grid_file()
        grid.write_text(
            f"{grid.read_text()}\n[numerics]\nthreads = 3\n[resources]\nwalltime_min = 90\n"
            "memory_gb = 2.5\ngpus = 1\nloader_workers = 2\n"
        )
        proposal = propose(str(grid), workspace=workspace)
        freeze(proposal)
        jobs = submit(proposal.run)
        options = slurm.options(jobs[1])
        assert (options["time"], options["mem"], options["cpus-per-task"]) == ("90", "2560MB", "5")
        assert options["gpus-per-node"] == "1"
        assert {"requeue", "open-mode"} <= options.keys()
        assert "export OMP_NUM_THREADS=3" in slurm.scripts[jobs[1]].splitlines()
        assert slurm.stage(jobs[0]) == "segment"
        assert "gpus-per-node" not in slurm.options(jobs[0])


class TestProfile:
    def test_what_the_profile_wishes_stands_in_the_script(self, slurm, submitted):
        run = submitted("study", ("block = 2 }", "block = 2 }\n[resources]\ngpus = 1"))
        wishes = {"partition": "gpu", "account": "a b", "qos": "long", "constraint": "ib&a100"}
        profile = Profile(
            **wishes, gpu_type="a100", notice_s=300, host_partition="cheap",
            modules=("Python/3.11", "x; touch y"),
        )  # fmt: skip
        remember_profile(run, profile)
        submission = submit_run(run, retry_failed=False)
        options = slurm.options(submission.jobs[1])
        assert {key: options[key] for key in wishes} == wishes
        assert (options["gpus-per-node"], options["signal"]) == ("a100:1", "B:USR2@300")
        lines = slurm.scripts[submission.jobs[1]].splitlines()
        assert lines.index("module load 'x; touch y'") < lines.index("export OMP_NUM_THREADS=1")
        sweep = slurm.options(submission.sweep)
        assert (sweep["partition"], sweep["account"]) == ("cheap", "a b")
        assert not {"constraint", "gpus-per-node"} & sweep.keys()

    def test_time_that_the_partition_does_not_have_is_refused(self, slurm, submitted):
        run = submitted()
        remember_profile(run, Profile(walltime_max_min=60))
        with pytest.raises(UserError, match=r"walltime_min = 240.*after 60 minutes.*Lower"):
            submit(run)
        assert slurm.scripts == {}

    def test_umask_of_a_project_folder_lets_the_group_in(self, slurm, submitted):
        run = submitted()
        remember_profile(run, Profile(umask="007"))
        submit(run)
        folder = run.submissions / "0001"
        assert folder.stat().st_mode & 0o777 == 0o770
        assert {path.stat().st_mode & 0o777 for path in folder.glob("*.pkl")} == {0o660}


class TestScript:
    def test_path_with_blanks_and_quotes_is_one_word_in_the_script(
        self, slurm, tmp_path, grid_file
    ):
        hostile = Workspace(tmp_path / 'it\'s "here" $(touch x); `y` #z & ö')
        proposal = propose(str(grid_file()), workspace=hostile)
        freeze(proposal)
        submit(proposal.run)
        folder = proposal.run.submissions / "0001"
        assert slurm.options("101")["output"] == f"{folder}/%j_0_log.out"
        command = shlex.split(slurm.scripts["101"].splitlines()[-1])
        supervisor = ["exec", sys.executable, "-m", "mtljobs.cluster.supervisor"]
        assert command == [*supervisor, "-u", "-m", "submitit.core._submit", str(folder)]
        for script in slurm.scripts.values():
            subprocess.run(["bash", "-n"], input=script.encode(), check=True, cwd=tmp_path)
        assert len(read_queue(proposal.run).shards) == 11

    @pytest.mark.parametrize("sign", ["%", "\\", "\n"])
    def test_path_that_slurm_would_read_otherwise_is_refused(
        self, slurm, tmp_path, grid_file, sign
    ):
        proposal = propose(str(grid_file()), workspace=Workspace(tmp_path / f"a{sign}b"))
        freeze(proposal)
        with pytest.raises(UserError, match="--workspace, or --executor local"):
            submit(proposal.run)
        assert slurm.scripts == {}

    def test_folder_of_a_submission_is_private(self, slurm, submitted):
        run = submitted()
        submit(run)
        folder = run.submissions / "0001"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o077 for path in folder.glob("*.pkl")} == {0}

    def test_variables_of_an_allocation_do_not_reach_slurm(self, slurm, submitted, monkeypatch):
        for name in ("SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SBATCH_ARRAY_INX", "TMPDIR"):
            monkeypatch.setenv(name, "1")
        kept = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_PARTITION": "gpu"}
        for name, value in kept.items():
            monkeypatch.setenv(name, value)
        run = submitted()
        submit(run)
        calls = slurm.calls("sbatch") + slurm.calls("squeue")
        assert len(calls) == 10
        assert all(call["environment"] == kept for call in calls)
        assert os.environ["SLURM_MEM_PER_CPU"] == "1"


class TestQueue:
    def test_queue_is_asked_once_for_all_jobs_and_not_without_a_submission(self, slurm, submitted):
        run = submitted()
        assert read_queue(run, max_age_s=60).shards == {}
        assert slurm.calls("squeue") == []
        submit(run)
        slurm.end("101", "102_0")
        queue = read_queue(run)
        assert len(slurm.calls("squeue")) == 2
        assert names(run, "101")[0] not in queue.shards
        assert queue.shards[names(run, "102")[1]] == "102"

    def test_answer_that_is_only_shown_serves_all_runs_for_a_while(self, slurm, submitted):
        one, two = submitted("one"), submitted("two", ("seeds = [0]", "seeds = [1]"))
        submit(one)
        submit(two)
        asked = len(slurm.calls("squeue"))
        queues = [read_queue(run, max_age_s=60) for run in (one, two, one)]
        assert len(slurm.calls("squeue")) == asked + 1
        assert [len(queue.shards) for queue in queues] == [11, 11, 11]
        submit(one)  # who acts asks for himself, and what is shown after it is new too
        slurm.end()
        assert read_queue(one, max_age_s=60).shards == {}

    def test_job_that_slurm_could_not_start_is_released_and_one_that_a_user_holds_is_not(
        self, slurm, submitted
    ):
        run = submitted()
        submit(run)
        slurm.hold("launch failed requeued held", "102_1")
        assert read_queue(run).held == {"102_1": "launch failed requeued held"}
        submit(run)
        slurm.hold("JobHeldUser", "102_0")
        assert read_queue(run).held == {"102_0": "JobHeldUser"}
        submit(run)
        asked = [call["arguments"] for call in slurm.calls("scontrol")]
        assert [arguments for arguments in asked if "release" in arguments] == [
            ["release", "102_1"]
        ]

    def test_job_that_cannot_be_released_is_no_error(self, slurm):
        assert release("102_1") == ["102_1"]
        slurm.fail("scontrol", "102_1: Job has already finished")
        assert release("102_1") == []

    def test_queue_that_does_not_answer_is_not_taken_for_an_empty_one(self, slurm, submitted):
        run = submitted()
        submit(run)
        submissions = len(slurm.scripts)
        slurm.fail("squeue")
        with pytest.raises(UserError, match=r"`squeue`: error: no contact"):
            submit(run)
        assert len(slurm.scripts) == submissions

    def test_refusal_of_sbatch_is_told_in_its_words_and_leaves_no_submission(
        self, slurm, submitted, capfd
    ):
        run = submitted()
        slurm.fail("sbatch", "sbatch: error: invalid partition specified: gpus")
        with pytest.raises(UserError, match=r"(?s)sbatch refused the segment job.*partition"):
            submit(run)
        assert find_submissions(run) == {}
        assert capfd.readouterr().err == ""

    def test_two_submissions_at_once_are_one(self, slurm, submitted, monkeypatch):
        monkeypatch.setattr("mtljobs.cluster.sweep.PATIENCE_S", 0.3)
        run = submitted()
        assert claims.acquire(run.driving) is not None
        with pytest.raises(UserError, match="being driven already"):
            submit(run)
        assert slurm.scripts == {}


class TestCancel:
    def test_jobs_and_sweep_of_the_run_are_cancelled_and_no_others(self, slurm, submitted):
        run = submitted()
        submission = submit_run(run, retry_failed=False)
        slurm.set_queue({"7": "/somebody/elses/job.sh", **slurm.queue})
        slurm.end("101")
        assert cancel_jobs(run) == [submission.sweep, *submission.jobs[1:]]
        assert [*slurm.queue] == ["7"]

    def test_run_without_jobs_asks_for_nothing(self, slurm, submitted):
        assert cancel_jobs(submitted()) == []
        assert slurm.calls("scancel") == []


def test_marker_says_what_each_element_was_before(slurm, submitted):
    run = submitted()
    submit(run)
    values = json.loads((run.submissions / "0002" / "shards.json").read_text())
    assert (values["stage"], values["attempts"], values["job"]) == ("train", [0, 0], "102")
