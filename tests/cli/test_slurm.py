"""What the command line says where there is a Slurm; how jobs are made is tested in `cluster/`."""

from __future__ import annotations

import pytest

from mtljobs.cli import following, working
from mtljobs.cluster import outlook, queue
from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.profiles import run_profile
from mtljobs.cluster.queue import Queue
from mtljobs.cluster.slurm_driver import Submission
from mtljobs.errors import UserError
from mtljobs.plan.frozen import read_newest


@pytest.fixture(autouse=True)
def sbatch(tmp_path, monkeypatch):
    """A login node, whose queue takes what it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text("#!/bin/sh\nexit 1\n")
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    words = "queued 2 shards in Slurm as 7, 8; then sweep 9 goes on"
    monkeypatch.setattr(
        working, "submit_run", lambda run, *, retry_failed: Submission(("7", "8"), "9", words)
    )


@pytest.mark.parametrize("executor", ["", "--executor auto", "--executor slurm"])
def test_submit_queues_the_frozen_plan_and_returns_0(mtljobs, grid_file, workspace, executor):
    answer = mtljobs(f"submit --grid {grid_file()} {executor}")
    assert answer.code == 0
    assert answer.out == (
        "study: queued 2 shards in Slurm as 7, 8; then sweep 9 goes on\n"
        "follow it with `mtljobs status` or `mtljobs wait`\n"
    )
    assert read_newest(workspace.run("study")) is not None


def submit_to_slurm(run):
    """Leave what a submission leaves."""
    marker = Marker("train", ("one",), plan="", memory_gb=1, round=0, attempts=(0,), job="7")
    marker.write(new_submission(run))


@pytest.fixture
def asked(monkeypatch):
    """Which runs were handed to a Slurm that has all of their shards already."""
    found = []

    def submit_run(run, *, retry_failed):
        found.append((run.name, retry_failed))
        return Submission((), None, "nothing can go on")

    monkeypatch.setattr(working, "submit_run", submit_run)
    return found


def test_resume_tries_failed_shards_again(mtljobs, submitted, asked):
    submitted()
    assert mtljobs("resume").code == 0
    assert asked == [("study", True)]


def test_submitting_again_leaves_failed_shards_and_says_what_it_came_to(mtljobs, grid_file, asked):
    answer = mtljobs(f"submit --grid {grid_file()}")
    assert answer.code == 0
    assert answer.out == "study: nothing can go on\n"
    assert asked == [("study", False)]


def test_profile_is_found_before_anything_is_written_and_remembered(
    mtljobs, grid_file, workspace, tmp_path
):
    grid = grid_file()
    assert mtljobs(f"submit --grid {grid} --profile {tmp_path}/no.toml").code == 2
    assert not workspace.root.exists()
    path = tmp_path / "mine.toml"
    path.write_text('partition = "gpu"\numask = "007"\n')
    assert mtljobs(f"submit --grid {grid} --profile {path}").code == 0
    run = workspace.run("study")
    assert run_profile(run).partition == "gpu"
    assert (run.plans.stat().st_mode & 0o777, run.profile.stat().st_mode & 0o777) == (0o770, 0o660)
    assert mtljobs(f"submit --grid {grid}").code == 0
    assert run_profile(run).partition == "gpu"


def test_status_counts_what_is_queued(mtljobs, submitted, monkeypatch):
    submit_to_slurm(submitted())
    found = Queue({"one": "7", "two": "7"}, sweeps=("8",))
    monkeypatch.setattr(outlook, "read_queue", lambda run, *, max_age_s: found)
    answer = mtljobs("status")
    assert answer.code == 3
    assert "2 shards waiting or running in Slurm's queue" in answer.out
    assert "sweep 8 goes on when these have ended" in answer.out
    assert "nothing works on it" not in answer.out


def test_status_says_which_jobs_are_held_and_how_to_go_on(mtljobs, submitted, monkeypatch):
    submit_to_slurm(submitted())
    held = {"7_0": "JobHeldUser", "7_3": "JobHeldUser", "9_1": "launch failed requeued held"}
    found = Queue({"one": "7", "two": "9"}, sweeps=("8",), held=held)
    monkeypatch.setattr(outlook, "read_queue", lambda run, *, max_age_s: found)
    answer = " ".join(mtljobs("status").out.split())
    assert "held 2 jobs: JobHeldUser; `scontrol release 7_0,7_3` goes on" in answer
    assert "held 1 job: launch failed requeued held; `mtljobs resume` goes on" in answer


def test_status_is_shown_also_where_the_queue_does_not_answer(mtljobs, submitted, monkeypatch):
    def refuse(run, *, max_age_s):
        raise UserError("`squeue` failed")

    submit_to_slurm(submitted())
    monkeypatch.setattr(outlook, "read_queue", refuse)
    answer = mtljobs("status")
    assert answer.code == 3
    assert "run study" in answer.out
    assert "`squeue` failed" in answer.out


def test_wait_ends_when_the_queue_is_empty(mtljobs, submitted, monkeypatch):
    queues = [Queue({"one": "7"}), Queue({"one": "7"}), Queue(), Queue()]
    monkeypatch.setattr(following, "read_queue", lambda run, *, max_age_s: queues.pop(0))
    monkeypatch.setattr(following, "RARELY_S", 0.0)
    submitted()
    assert mtljobs("wait").code == 3
    assert len(queues) == 1


def test_cancel_names_the_jobs_that_it_took_back(mtljobs, submitted, monkeypatch):
    monkeypatch.setattr(queue, "cancel_jobs", lambda run: ["7", "8"])
    submitted()
    answer = mtljobs("cancel")
    assert answer.code == 0
    assert "took from Slurm's queue: 7, 8" in answer.out
