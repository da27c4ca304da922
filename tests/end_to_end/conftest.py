"""Whole runs in small: planned as the command line plans, worked on in this process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtljobs import worker
from mtljobs.cli import main
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.contracts import Shard
from mtljobs.data.folder import prepare
from mtljobs.ledger.paths import RunFolder, Workspace, open_workspace
from mtljobs.plan.datasets import write_info
from mtljobs.plan.frozen import newest_plan, read_plan
from mtljobs.plan.shipped import shipped

torch.set_num_threads(1)

Compute = Callable[[Path, Path], tuple[RunFolder, dict[str, str]]]


def _compute(grid: Path, workspace: Path) -> tuple[RunFolder, dict[str, str]]:
    """Submit a grid and run every shard here; the run, and how each attempt ended."""
    proposal = propose(str(grid), workspace=open_workspace(workspace), run_name="run")
    path = freeze(proposal)
    shards = read_plan(path).shards
    done = {path.stem for path in proposal.run.ledger.glob("*.json")}
    outcomes = {
        shard.name: worker.run_shard(str(path), index)
        for index, shard in enumerate(shards)
        if shard.name not in done
    }
    return proposal.run, outcomes


@pytest.fixture(scope="session")
def compute() -> Compute:
    return _compute


@pytest.fixture(scope="session")
def smoke_grid() -> Path:
    return shipped("jobs/smoke.toml")


@pytest.fixture(scope="session")
def smoke_run(smoke_grid: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The smoke grid, finished; tests only read it."""
    run, _ = _compute(smoke_grid, tmp_path_factory.mktemp("smoke"))
    return run


DESCRIPTION = """
id = "desk"
image = { files = "{id}-color.png" }
segmentation = { files = "{id}-label.png", classes = ["table", "mug", "book"] }
depth = { files = "{id}-depth.npy", max = 4.0 }
split = { test = ["test-*"] }
"""
GRID = """
[[experiment]]
name = "desk"
data = { name = "folder", id = "desk", size = [32, 32] }
model = { name = "segnet_mtan", width = 0.0625 }
tasks = [{ name = "segmentation" }, { name = "depth" }]
training = { iterations = 3, batch = 2 }
pruning = { name = "netslim" }
sparsities = [0.0]
seeds = [0]
explain = { images = 4, block = 2, superpixels = { name = "slic", n_segments = 8 } }

[resources]
data = { desk = "images" }
"""
IMAGES = (*(f"train-{index}" for index in range(6)), *(f"test-{index}" for index in range(4)))


@dataclass(frozen=True)
class Desk:
    """A user's folder of images with its description, a grid, and a run of that grid."""

    folder: Path

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def description(self) -> Path:
        return self.folder / "desk.toml"

    @property
    def grid(self) -> Path:
        return self.folder / "grid.toml"

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "runs")

    @property
    def run(self) -> RunFolder:
        return self.workspace.run("grid")

    @property
    def shards(self) -> tuple[Shard, ...]:
        return read_plan(newest_plan(self.run)).shards

    def shard(self, stage: str, number: int = 0) -> Shard:
        return [shard for shard in self.shards if shard.stage == stage][number]

    def photograph(self) -> Desk:
        """Write the images: the same on every desk."""
        random = np.random.default_rng(0)
        self.images.mkdir(parents=True)
        for name in IMAGES:
            blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            self.write(f"{name}-color.png", blocks.repeat(8, 0).repeat(8, 1))
            labels = random.integers(0, 3, (4, 4), dtype=np.uint8)
            self.write(f"{name}-label.png", labels.repeat(8, 0).repeat(8, 1))
            self.write(f"{name}-depth.npy", random.uniform(0.5, 4, (32, 32)))
        self.description.write_text(DESCRIPTION, encoding="utf-8")
        self.grid.write_text(GRID, encoding="utf-8")
        return self

    def write(self, name: str, values: np.ndarray) -> Path:
        path = self.images / name
        if path.suffix == ".npy":
            np.save(path, values)
        else:
            Image.fromarray(values).save(path)
        return path

    def prepare(self) -> None:
        write_info(self.workspace, prepare(self.description, self.images))

    def submit(self) -> Desk:
        self.prepare()
        freeze(propose(str(self.grid), workspace=self.workspace))
        return self

    def work(self, *stages: str) -> dict[str, str]:
        """Try every shard of some stages, or of all, once; how it ended, or its error's text."""
        path = newest_plan(self.run)
        return {
            shard.name: self._try(path, index)
            for index, shard in enumerate(self.shards)
            if not stages or shard.stage in stages
        }

    def _try(self, path: Path, index: int) -> str:
        try:
            return worker.run_shard(str(path), index)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


@pytest.fixture(scope="session")
def finished_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk whose run is complete; tests only read it."""
    desk = Desk(tmp_path_factory.mktemp("finished")).photograph().submit()
    assert set(desk.work().values()) == {"done"}
    return desk


@pytest.fixture
def blank_desk(tmp_path: Path) -> Desk:
    """A desk whose grid was not submitted yet."""
    return Desk(tmp_path / "desk").photograph()


@pytest.fixture
def new_desk(blank_desk: Desk) -> Desk:
    """A desk whose run has not begun."""
    return blank_desk.submit()


@pytest.fixture
def desk(new_desk: Desk, finished_desk: Desk) -> Desk:
    """A desk with superpixels and network made: what is left is to evaluate and to explain."""
    for made in ("networks", "inputs"):
        shutil.copytree(finished_desk.workspace.shared / made, new_desk.workspace.shared / made)
    return new_desk


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def mtljobs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Runs a command line in this process, as a user types it after `mtljobs`."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["mtljobs", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Answer(int(ended.value.code or 0), printed.out, printed.err)

    return run


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    return read_tree
