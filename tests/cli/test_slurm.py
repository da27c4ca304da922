"""What the command line says where there is a Slurm; how jobs are made is tested in `cluster/`."""

from __future__ import annotations

import pytest

from mtljobs.cli import following
from mtljobs.cluster import queue, slurm
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
    monkeypatch.setattr(slurm, "submit_run", lambda run, *, retry_failed: ["7", "8"])


@pytest.mark.parametrize("executor", ["", "--executor auto", "--executor slurm"])
def test_submit_queues_the_frozen_plan_and_returns_0(mtljobs, grid_file, workspace, executor):
    answer = mtljobs(f"submit --grid {grid_file()} {executor}")
    assert answer.code == 0
    assert answer.out == (
        "queued study as Slurm jobs 7, 8; follow it with `mtljobs status` or `mtljobs wait`\n"
    )
    assert read_newest(workspace.run("study")) is not None


@pytest.fixture
def asked(monkeypatch):
    """Which runs were handed to a Slurm that has all of their shards already."""
    found = []

    def submit_run(run, *, retry_failed):
        found.append((run.name, retry_failed))
        return []

    monkeypatch.setattr(slurm, "submit_run", submit_run)
    return found


def test_resume_tries_failed_shards_again(mtljobs, submitted, asked):
    submitted()
    assert mtljobs("resume").code == 0
    assert asked == [("study", True)]


def test_submitting_again_leaves_failed_shards_and_what_is_queued(mtljobs, grid_file, asked):
    answer = mtljobs(f"submit --grid {grid_file()}")
    assert answer.code == 0
    assert "all that is left of study is in Slurm's queue already" in answer.out
    assert asked == [("study", False)]


def test_status_counts_what_is_queued(mtljobs, submitted, monkeypatch):
    submitted()
    monkeypatch.setattr(following, "find_jobs", lambda run: {"one": "7", "two": "7"})
    answer = mtljobs("status")
    assert answer.code == 3
    assert "2 shards wait in Slurm's queue" in answer.out
    assert "nothing works on it" not in answer.out


def test_status_is_shown_also_where_the_queue_does_not_answer(mtljobs, submitted, monkeypatch):
    def refuse(run):
        raise UserError("`squeue` failed")

    submitted()
    monkeypatch.setattr(following, "find_jobs", refuse)
    answer = mtljobs("status")
    assert answer.code == 3
    assert "run study" in answer.out
    assert "`squeue` failed" in answer.out


def test_wait_ends_when_the_queue_is_empty(mtljobs, submitted, monkeypatch):
    queue = [{"one": "7"}, {"one": "7"}, {}, {}]
    monkeypatch.setattr(following, "find_jobs", lambda run: queue.pop(0))
    monkeypatch.setattr(following, "QUEUE_LOOK_S", 0.0)
    submitted()
    assert mtljobs("wait").code == 3
    assert queue == []


def test_cancel_names_the_jobs_that_it_took_back(mtljobs, submitted, monkeypatch):
    monkeypatch.setattr(queue, "cancel_jobs", lambda run: ["7", "8"])
    submitted()
    answer = mtljobs("cancel")
    assert answer.code == 0
    assert "took from Slurm's queue: 7, 8" in answer.out
