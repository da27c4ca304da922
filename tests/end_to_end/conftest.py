"""Whole runs in small: planned as the command line plans, worked on in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mtljobs import worker
from mtljobs.cluster.runs import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.paths import RunFolder, open_workspace
from mtljobs.plan.frozen import read_plan
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
