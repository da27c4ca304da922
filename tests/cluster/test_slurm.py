"""Submission to a Slurm of three small scripts, which write down what they were asked."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.queue import cancel_jobs, find_jobs
from mtljobs.cluster.slurm import submit_run
from mtljobs.cluster.submission import freeze
from mtljobs.errors import UserError
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.paths import Workspace, create_folder, result_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.frozen import read_newest

FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys
here, name = pathlib.Path(__file__).parent, pathlib.Path(__file__).name
number = 101 + len(list(here.glob(name + ".*.call")))
kinds = ("SLURM_", "SBATCH_", "SQUEUE_")
environment = {{key: value for key, value in os.environ.items() if key.startswith(kinds)}}
script = pathlib.Path(sys.argv[-1]).read_text() if name == "sbatch" else ""
call = {{"arguments": sys.argv[1:], "environment": environment, "script": script}}
(here / f"{{name}}.{{number}}.call").write_text(json.dumps(call))
if (here / f"{{name}}.fails").exists():
    sys.exit("error: no contact")
print(f"Submitted batch job {{number}}" if script else (here / f"{{name}}.out").read_text())
"""


class Slurm:
    """What was submitted, and what the queue shall say."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("sbatch", "squeue", "scontrol", "scancel", "srun"):
            (folder / name).write_text(FAKE)
            (folder / name).chmod(0o755)
            (folder / f"{name}.out").write_text("")
        self.set_longest(1001)

    def set_longest(self, elements):
        (self.folder / "scontrol.out").write_text(
            f"Configuration data\nMaxArraySize            = {elements}\nMaxJobCount = 10000\n"
        )

    def calls(self, name):
        paths = sorted(
            self.folder.glob(f"{name}.*.call"), key=lambda path: int(path.suffixes[0][1:])
        )
        return [json.loads(path.read_text()) for path in paths]

    @property
    def scripts(self):
        """Of each job, by its id."""
        return {str(101 + index): call["script"] for index, call in enumerate(self.calls("sbatch"))}

    def options(self, job):
        lines = [
            shlex.split(line)[1] for line in self.scripts[job].splitlines() if "#SBATCH" in line
        ]
        return dict(line[2:].partition("=")[::2] for line in lines)

    def show(self, run, *elements):
        """Let the queue hold these elements of a run's jobs, such as "102_1"."""
        lines = ["7 /somebody/elses/job.sh"]
        for marker in run.submissions.glob("*/shards.json"):
            job = json.loads(marker.read_text()).get("job")
            lines += [
                f"{element} {marker.parent}/.submission_file_0.sh"
                for element in elements
                if element.partition("_")[0] == job
            ]
        (self.folder / "squeue.out").write_text("\n".join(lines) + "\n")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Slurm(folder)


@pytest.fixture
def finish(workspace):
    """Commits empty results of a run's shards of these stages."""

    def commit(run, *stages):
        for shard in read_newest(run).shards:
            if shard.stage in stages:
                folder = create_folder(result_folder(workspace, run, shard))
                record = make_record(folder, shard=shard.name, identity=shard.identity, versions={})
                write_record(folder, record)

    return commit


def submit(run, *, retry_failed=False):
    return submit_run(run, retry_failed=retry_failed)


def names(run, job):
    """The shards of a job, as its marker says."""
    values = [json.loads(path.read_text()) for path in run.submissions.glob("*/shards.json")]
    return next(value["shards"] for value in values if value["job"] == job)


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
        assert set(array_of) == {shard.name for shard in plan.shards}

    def test_shards_of_one_stage_and_depth_are_one_array(self, slurm, submitted):
        run = submitted()
        stages = [
            (slurm.options(job)["job-name"].rpartition("-")[2], len(names(run, job)))
            for job in submit(run)
        ]
        assert stages == [
            ("segment", 1), ("train", 2), ("evaluate", 1), ("explain", 2), ("prune", 1),
            ("train", 1), ("evaluate", 1), ("explain", 2), ("reduce", 1),
        ]  # fmt: skip

    def test_reduction_is_the_last_job_and_waits_for_all_others(self, slurm, submitted):
        *others, last = submit(submitted())
        assert slurm.options(last)["job-name"] == "mtljobs-study-reduce"
        assert slurm.options(last)["dependency"] == f"afterany:{':'.join(others)}"

    def test_array_is_split_where_the_cluster_wants_shorter_ones(self, slurm, submitted, workspace):
        slurm.set_longest(3)
        run = submitted("study", ("seeds = [0]", "seeds = [0, 1, 2, 3]"))
        jobs = submit(run)
        trainings = [job for job in jobs if slurm.options(job)["job-name"].endswith("train")]
        assert [len(names(run, job)) for job in trainings] == [3, 3, 2, 3, 1]
        assert slurm.options(trainings[0])["array"] == "0-2%3"
        first = [shard.name for shard in read_newest(run).shards if shard.stage == "train"]
        assert set(first) == {name for job in trainings for name in names(run, job)}

    def test_job_asks_for_the_resources_of_the_plan(self, slurm, workspace, grid_file):
        grid = Path(grid_file())
        grid.write_text(
            f"{grid.read_text()}\n[numerics]\nthreads = 3\n[resources]\nwalltime_min = 90\n"
            "memory_gb = 2.5\ngpus = 1\nloader_workers = 2\n"
        )
        proposal = propose(str(grid), workspace=workspace)
        freeze(proposal)
        jobs = submit(proposal.run)
        training = next(job for job in jobs if slurm.options(job)["job-name"].endswith("train"))
        options = slurm.options(training)
        assert (options["time"], options["mem"], options["cpus-per-task"]) == ("90", "2560MB", "5")
        assert options["gpus-per-node"] == "1"
        assert "requeue" in options
        assert "export OMP_NUM_THREADS=3" in slurm.scripts[training].splitlines()
        assert "gpus-per-node" not in slurm.options(jobs[-1])


class TestScript:
    def test_path_with_blanks_and_quotes_is_one_word_in_the_script(
        self, slurm, tmp_path, grid_file
    ):
        hostile = Workspace(tmp_path / 'it\'s "here" $(touch x); `y`')
        proposal = propose(grid_file(), workspace=hostile)
        freeze(proposal)
        submit(proposal.run)
        folder = proposal.run.submissions / "0001"
        assert slurm.options("101")["output"] == f"{folder}/%j_0_log.out"
        command = shlex.split(slurm.scripts["101"].splitlines()[-1])
        supervisor = ["exec", sys.executable, "-m", "mtljobs.cluster.supervisor"]
        assert command == [*supervisor, "-u", "-m", "submitit.core._submit", str(folder)]

    @pytest.mark.parametrize("sign", ["%", "\\", "\n"])
    def test_path_that_slurm_would_read_otherwise_is_refused(
        self, slurm, tmp_path, grid_file, sign
    ):
        proposal = propose(grid_file(), workspace=Workspace(tmp_path / f"a{sign}b"))
        freeze(proposal)
        with pytest.raises(UserError, match="--workspace, or --executor local"):
            submit(proposal.run)
        assert slurm.scripts == {}

    def test_folder_of_a_submission_is_private(self, slurm, submitted):
        run = submitted()
        submit(run)
        assert (run.submissions / "0001").stat().st_mode & 0o777 == 0o700

    def test_variables_of_an_allocation_do_not_reach_slurm(self, slurm, submitted, monkeypatch):
        for name in ("SLURM_MEM_PER_CPU", "SBATCH_ARRAY_INX", "SQUEUE_STATES"):
            monkeypatch.setenv(name, "1")
        kept = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_PARTITION": "gpu"}
        for name, value in kept.items():
            monkeypatch.setenv(name, value)
        run = submitted()
        submit(run)
        find_jobs(run)
        calls = slurm.calls("sbatch") + slurm.calls("squeue")
        assert len(calls) == 10
        assert all(call["environment"] == kept for call in calls)
        assert os.environ["SLURM_MEM_PER_CPU"] == "1"


class TestQueue:
    def test_shards_that_are_queued_are_not_submitted_again(self, slurm, submitted):
        run = submitted()
        jobs = submit(run)
        slurm.show(
            run, *(f"{job}_{index}" for job in jobs for index in range(len(names(run, job))))
        )
        assert submit(run) == []
        assert len(slurm.scripts) == len(jobs)

    def test_job_that_slurm_forgot_is_submitted_again_after_the_parents_that_wait(
        self, slurm, submitted, finish
    ):
        run = submitted()
        first = submit(run)
        finish(run, "segment", "train", "prune", "evaluate")
        explained = next(job for job in first if "explain" in slurm.options(job)["job-name"])
        slurm.show(run, f"{explained}_1")
        again, reduction = submit(run)
        assert len(names(run, again)) == 3
        assert names(run, explained)[1] not in names(run, again)
        assert slurm.options(reduction)["dependency"] == f"afterany:{explained}:{again}"

    def test_submission_that_died_before_it_noted_the_id_is_found_by_its_folder(
        self, slurm, submitted
    ):
        run = submitted()
        submit(run)
        shards = names(run, "102")
        slurm.show(run, "102_0", "102_1")
        for marker in run.submissions.glob("*/shards.json"):
            values = json.loads(marker.read_text())
            marker.write_text(json.dumps(values | {"job": None}))
        assert find_jobs(run) == dict.fromkeys(shards, "102")

    def test_failed_shard_and_what_hangs_on_it_wait_for_resume(self, slurm, submitted, finish):
        run = submitted()
        finish(run, "segment")
        training = next(shard for shard in read_newest(run).shards if shard.stage == "train")
        attempts.begin(run.attempts, training.name, device="cpu").end("failed", "no")
        queued = {name for job in submit(run) for name in names(run, job)}
        assert training.name not in queued
        plan = read_newest(run)
        children = {shard.name for shard in plan.shards[:-1] if training.name in shard.parents}
        assert queued.isdisjoint(children)
        resumed = {name for job in submit(run, retry_failed=True) for name in names(run, job)}
        assert training.name in resumed
        assert resumed.issuperset(children)

    def test_complete_run_is_only_reduced(self, slurm, submitted, finish):
        run = submitted()
        finish(run, "segment", "train", "prune", "evaluate", "explain")
        assert [slurm.options(job)["job-name"] for job in submit(run)] == ["mtljobs-study-reduce"]

    def test_queue_is_asked_once_for_all_jobs_and_not_without_a_submission(self, slurm, submitted):
        run = submitted()
        assert find_jobs(run) == {}
        assert slurm.calls("squeue") == []
        submit(run)
        slurm.show(run, "101", "102_1")
        assert find_jobs(run) == {names(run, "101")[0]: "101", names(run, "102")[1]: "102"}
        assert len(slurm.calls("squeue")) == 1

    def test_queue_that_does_not_answer_is_not_taken_for_an_empty_one(self, slurm, submitted):
        run = submitted()
        submit(run)
        submissions = len(slurm.scripts)
        (slurm.folder / "squeue.fails").touch()
        with pytest.raises(UserError, match=r"`squeue` failed: error: no contact"):
            submit(run)
        assert len(slurm.scripts) == submissions

    def test_refusal_of_sbatch_is_told_in_its_words(self, slurm, submitted):
        (slurm.folder / "sbatch.fails").touch()
        with pytest.raises(UserError, match=r"(?s)sbatch refused the segment shards.*no contact"):
            submit(submitted())

    def test_two_submissions_at_once_are_one(self, slurm, submitted):
        run = submitted()
        assert claims.acquire(run.driving) is not None
        with pytest.raises(UserError, match="being driven already"):
            submit(run)
        assert slurm.scripts == {}


class TestCancel:
    def test_jobs_of_the_run_that_still_wait_are_cancelled_and_no_others(self, slurm, submitted):
        run = submitted()
        submit(run)
        slurm.show(run, "101", "102_0", "102_1")
        assert cancel_jobs(run) == ["101", "102"]
        assert [call["arguments"] for call in slurm.calls("scancel")] == [["101", "102"]]

    def test_run_without_jobs_asks_for_nothing(self, slurm, submitted):
        assert cancel_jobs(submitted()) == []
        assert slurm.calls("scancel") == []
