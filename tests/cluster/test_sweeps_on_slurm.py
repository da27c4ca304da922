"""Runs that go on by themselves on a real Slurm, which has no accounting."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtljobs.cluster.marker import find_submissions
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.queue import read_queue
from mtljobs.cluster.states import read_states
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.paths import RunFolder, Workspace

pytestmark = pytest.mark.testbed(max_array_size=3)

ROOT = Path(__file__).parents[2]
GRID = """
[[experiment]]
name = "{name}"
data = {{ name = "rooms", size = [32, 32], train = 8, test = 4 }}
model = {{ name = "segnet_mtan", width = 0.0625 }}
tasks = [{{ name = "depth" }}]
training = {{ iterations = 4, batch = 4, learning_rate = {rate} }}
pruning = {{ name = "netslim", tune_iterations = 2 }}
sparsities = [0.0]
seeds = [0]
explain = {{ images = 4, block = 1, superpixels = {{ name = "slic", n_segments = 8 }} }}
"""
RESOURCES = "\n[resources]\nmemory_gb = 1\nwalltime_min = 5\n"
KILLED = """
import os, signal, sys
from submitit.core.utils import JobPaths
from mtljobs.cli import main
move = JobPaths.move_temporary_file
def die(self, path, name, **words):
    if name == "submitted_pickle":
        os.kill(os.getpid(), signal.SIGKILL)
    move(self, path, name, **words)
JobPaths.move_temporary_file = die
sys.argv = ["mtljobs", *sys.argv[1:]]
main()
"""


@pytest.fixture
def grid(tmp_path):
    """Writes a grid of experiments, each trained with a learning rate, and says where."""

    def write(**rates):
        text = "".join(GRID.format(name=name, rate=rate) for name, rate in rates.items())
        path = tmp_path / "study.toml"
        path.write_text(text + RESOURCES)
        return path

    return write


@pytest.fixture
def hostile(tmp_path):
    return tmp_path / 'it\'s $(touch pwned) "a" #b & `c`; ö'


@pytest.fixture
def command(slurm, monkeypatch):
    """Begins a command of ours, as a user on a login node does."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def begin(*arguments, program=("-m", "mtljobs")):
        return subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin


def finish(process):
    text, _ = process.communicate(timeout=600)
    return process.returncode, text


def wait_until_quiet(slurm, run: RunFolder, *, limit_s: float = 240) -> None:
    end = time.monotonic() + limit_s
    while slurm.run("squeue", "--noheader").stdout:
        assert time.monotonic() < end, slurm.run("squeue", "--array").stdout
        time.sleep(1)


def assert_queued_once(run: RunFolder) -> None:
    """Each shard is in one job, which has its file, and one sweep comes after."""
    queue = read_queue(run)
    assert not queue.unfinished
    assert len(queue.sweeps) == 1
    named = [name for marker in find_submissions(run).values() for name in marker.shards]
    assert sorted(named) == sorted({*named})
    for folder, marker in find_submissions(run).items():
        for index in range(len(marker.shards) or 1):
            assert (folder / f"{marker.element(index)}_submitted.pkl").exists()


def test_windows_smaller_than_the_run_complete_it_with_the_bytes_of_an_undisturbed_one(
    slurm, grid, command, hostile, tmp_path
):
    path = grid(study=1e-3)
    (tmp_path / "small.toml").write_text("queued_max = 5\nnotice_s = 10\n")
    options = ("--grid", path, "--workspace", hostile, "--profile", tmp_path / "small.toml")
    code, text = finish(command("submit", *options))
    assert code == 0, text
    run = Workspace(hostile).run("study")
    wait_until_quiet(slurm, run)
    code, text = finish(command("status", run.root))
    assert code == 0, text + "".join(
        path.read_text() for path in sorted(run.submissions.glob("*/*.out"))
    )
    assert len(run.sweeps.read_text().splitlines()) >= 3
    assert not list(tmp_path.rglob("pwned")) + list(Path.cwd().glob("pwned"))
    quiet = tmp_path / "quiet"
    local = ("--executor", "local", "--cpus", "2", "--workspace", quiet)
    code, text = finish(command("submit", "--grid", path, *local))
    assert code == 0, text
    assert_same_tree(run.store, quiet / "study" / "store.zarr")


def assert_same_tree(one: Path, other: Path) -> None:
    trees = [{path.relative_to(root) for path in root.rglob("*")} for root in (one, other)]
    assert trees[0] == trees[1]
    files = [str(name) for name in trees[0] if (one / name).is_file()]
    assert filecmp.cmpfiles(one, other, files, shallow=False)[1:] == ([], [])


def test_two_submits_at_once_queue_every_shard_once(slurm, grid, command, tmp_path):
    options = ("--grid", grid(study=1e-3), "--workspace", tmp_path / "runs")
    answers = [finish(process) for process in [command("submit", *options) for _ in range(3)]]
    # 2: another submit was faster with the plan, 3: somebody else is submitting.
    assert {code for code, _ in answers} <= {0, 2, 3}, answers
    assert 0 in {code for code, _ in answers}, answers
    assert_queued_once(Workspace(tmp_path / "runs").run("study"))


def test_submit_killed_between_sbatch_and_record_is_completed_by_the_next(
    slurm, grid, command, tmp_path
):
    options = ("submit", "--grid", grid(study=1e-3), "--workspace", tmp_path / "runs")
    code, _ = finish(command(*options, program=("-c", KILLED)))
    assert code == -9
    run = Workspace(tmp_path / "runs").run("study")
    (job,) = read_queue(run).unfinished.values()
    code, text = finish(command(*options))
    assert code == 0, text
    assert job in {marker.job for marker in find_submissions(run).values()}
    assert_queued_once(run)
    slurm.wait_for(job, "COMPLETED", timeout_s=120)  # it had its file in time
    assert read_states(run).shards[find_submissions(run)[_folder(run, job)].shards[0]].attempts


def _folder(run: RunFolder, job: str) -> Path:
    return next(folder for folder, mark in find_submissions(run).items() if mark.job == job)


def test_failed_training_leaves_its_dependents_and_nothing_waits_for_ever(
    slurm, grid, command, tmp_path
):
    proposal = propose(str(grid(bad=1e30, good=1e-3)), workspace=Workspace(tmp_path / "runs"))
    freeze(proposal)
    run = proposal.run
    code, text = finish(command("resume", run.root))
    assert code == 0, text
    wait_until_quiet(slurm, run)
    states = {name: known.state for name, known in read_states(run).shards.items()}
    assert sorted(state for state in states.values() if state != "done") == sorted(
        ["failed", *["waiting"] * 5]
    ), states
    code, text = finish(command("status", run.root))
    assert code == 1, text
    assert "nothing can go on; `mtljobs resume` tries again what is left" in text
    assert "Lower training.learning_rate" in finish(command("logs", "--run", run.root))[1]


def test_cancelled_run_leaves_nothing_in_the_queue_and_is_resumed(slurm, grid, command, tmp_path):
    options = ("--grid", grid(study=1e-3), "--workspace", tmp_path / "runs")
    assert finish(command("submit", *options))[0] == 0
    run = Workspace(tmp_path / "runs").run("study")
    code, text = finish(command("cancel", run.root))
    assert code == 0, text
    wait_until_quiet(slurm, run, limit_s=60)
    code, text = finish(command("resume", run.root))
    assert code == 0, text
    assert read_queue(run).shards


def test_job_may_submit_a_run(slurm, grid, tmp_path, monkeypatch):
    """Also one whose variables would change what `sbatch` does."""
    workspace = tmp_path / "runs"
    line = f"{sys.executable} -m mtljobs submit --grid {grid(study=1e-3)} --workspace {workspace}"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    job = slurm.submit("--ntasks=1", "--mem=200M", "--time=2", f"--wrap={line}")
    assert slurm.wait_for(job, timeout_s=120)["JobState"] == "COMPLETED"
    run = Workspace(workspace).run("study")
    assert_queued_once(run)
    first = slurm.describe(find_submissions(run)[_folder_one(run)].job or "")
    assert (first["MinMemoryNode"], first["TimeLimit"]) == ("1G", "00:05:00")


def _folder_one(run: RunFolder) -> Path:
    return next(iter(find_submissions(run)))
