"""A small study on a real Slurm, and how it would have come out undisturbed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtljobs.cluster.queue import read_queue
from mtljobs.cluster.states import RunState, ShardState, read_states
from mtljobs.ledger.attempts import AttemptState
from mtljobs.ledger.paths import RunFolder, Workspace, scratch_folder
from testbed.machine import wait_until
from testbed.slurm import SlurmBox

GRID = """
[[experiment]]
name = "study"
data = { name = "rooms", size = [32, 32], train = 16, test = 8 }
model = { name = "segnet_mtan", width = 0.0625 }
tasks = [{ name = "depth" }]
training = { iterations = 240, batch = 4 }
pruning = { name = "netslim", tune_iterations = 6 }
sparsities = [0.0]
seeds = [0]
explain = { images = 2, block = 2, superpixels = { name = "slic", n_segments = 20 } }

[resources]
checkpoint_every_s = 1
walltime_min = 5
memory_gb = 3
"""


@dataclass(frozen=True)
class Study:
    """A grid file and the workspace that it is submitted to, as a user does it.

    Attributes:
        python: Of the box's unprivileged user, who does it then; else this process does.
        name: Of the grid file and the run.
    """

    folder: Path
    slurm: SlurmBox | None
    python: Path | None = None
    name: str = "study"

    @property
    def grid(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "runs")

    @property
    def run(self) -> RunFolder:
        return self.workspace.run(self.name)

    @property
    def state(self) -> RunState:
        return read_states(self.run)

    def write(self, *changes: tuple[str, str]) -> None:
        """The grid file: `GRID` with each `old` replaced by its `new`."""
        text = GRID
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.grid.write_text(text)

    def write_profile(self, **values: object) -> str:
        """A profile of the cluster, by its path."""
        path = self.folder / "mine.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return str(path)

    def mtljobs(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """What a command of ours prints; it ends with one of `codes`."""
        command = [str(self.python or sys.executable), "-m", "mtljobs", *arguments]
        place = {"MTLJOBS_WORKSPACE": str(self.workspace.root)}
        if self.slurm is not None and self.python is not None:
            done = self.slurm.run(*command, as_user=True, env=place, cwd=self.folder, check=False)
        else:
            environment = os.environ | place
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode in codes, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def submit(self, *arguments: str) -> str:
        return self.mtljobs("submit", "--grid", str(self.grid), *arguments)

    def ends(self, stage: str = "train") -> list[str]:
        """How each attempt at a stage's first shard ended."""
        return [attempt.state for attempt in self.shard(stage).attempts]

    def shard(self, stage: str) -> ShardState:
        """The first shard of a stage, as it is now."""
        return next(one for one in self.state.shards.values() if one.shard.stage == stage)

    def attempt(self, stage: str) -> AttemptState:
        """The last attempt at it."""
        last = self.shard(stage).last
        assert last is not None
        return last

    def wait_for_checkpoint(self, stage: str = "train") -> AttemptState:
        """The running attempt at a stage's first shard, once it has written a checkpoint."""
        shard = self.shard(stage).shard
        scratch = scratch_folder(self.workspace, self.run, shard)

        def is_so() -> bool:
            state = self.shard(stage)
            last = state.last
            return (
                state.state == "running"
                and last is not None
                and any(
                    path.is_file() and path.stat().st_mtime > last.started
                    for path in scratch.glob("*")
                )
            )

        wait_until(is_so, f"a checkpoint of {shard.name}", timeout_s=60)
        return self.attempt(stage)

    def wait_for_end(self, stage: str = "train", *, number: int = 1) -> AttemptState:
        """An attempt at a stage's first shard, once it is over."""

        def is_so() -> bool:
            made = self.shard(stage).attempts
            return len(made) >= number and made[number - 1].state != "running"

        wait_until(is_so, f"attempt {number} at {stage} to end", timeout_s=90)
        return self.shard(stage).attempts[number - 1]

    def job(self, stage: str = "train") -> str:
        """Slurm's id of the job in which a stage's first shard waits or runs."""
        return read_queue(self.run).shards[self.shard(stage).shard.name]

    def preempt(self) -> None:
        """Take both nodes away for a moment."""
        options = ("--partition=high", "--nodes=2", "--exclusive")
        high = self.slurm.submit(*options, "--wrap=sleep 1")
        self.slurm.wait_for(high, "COMPLETED", timeout_s=120)

    def finish(self, *, resumes: int = 0) -> None:
        """Wait until the run is complete, by itself but for so many `mtljobs resume`."""
        for _ in range(resumes):
            self.wait_until_empty()
            self.mtljobs("resume", self.name)
        self.wait_until_empty()
        assert self.state.is_complete, self.mtljobs("status", self.name, "--once", codes=(0, 1, 3))

    def wait_until_empty(self) -> None:
        """Until Slurm has nothing left to do."""

        def is_empty() -> bool:
            self._skip_delays()
            return not self.slurm.run("squeue", "--noheader").stdout

        wait_until(is_empty, "an empty queue", timeout_s=240)

    def store(self) -> dict[str, str]:
        """SHA-256 of every file of the store, by name."""
        return {
            str(path.relative_to(self.run.store)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.run.store.rglob("*"))
            if path.is_file()
        }

    def _skip_delays(self) -> None:
        """A requeued job waits for its credential to expire; nobody here wants to."""
        waiting = self.slurm.run("squeue", "--noheader", "--array", "--format=%i %r").stdout
        for line in waiting.splitlines():
            job, _, reason = line.partition(" ")
            if reason == "BeginTime":
                self.slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Callable[..., dict[str, str]]:
    """The store of a study that nothing happened to, worked on by this machine alone."""
    known: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def compute(*changes: tuple[str, str]) -> dict[str, str]:
        if changes not in known:
            study = Study(tmp_path_factory.mktemp("undisturbed"), None)
            study.write(*changes)
            study.submit("--executor", "local")
            known[changes] = study.store()
        return known[changes]

    return compute


@pytest.fixture
def study(tmp_path, slurm) -> Study:
    """The study, ready to be submitted."""
    found = Study(tmp_path, slurm)
    found.write()
    return found
