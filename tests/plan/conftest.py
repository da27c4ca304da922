from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mtljobs.contracts import Shard
from mtljobs.errors import GridError
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.frozen import Plan
from mtljobs.plan.grids import read_grid
from mtljobs.plan.planning import everything, plan_grid
from mtljobs.settings.grid import Grid

TABLE = {
    "experiment": [
        {
            "name": "study",
            "data": {"name": "rooms", "size": [32, 64], "train": 16, "test": 8},
            "model": {"name": "segnet_mtan", "width": 0.0625},
            "tasks": [{"name": "segmentation"}, {"name": "depth"}],
            "training": {"iterations": 12, "batch": 4},
            "pruning": {"name": "netslim", "tune_iterations": 6},
            "sparsities": [0.0, 0.5],
            "seeds": [0],
            "explain": {"images": 7, "block": 3},
        }
    ]
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that nothing was ever written to."""
    return Workspace(tmp_path / "runs")


@pytest.fixture
def table() -> dict[str, Any]:
    """A grid as TOML reads it: two sparsities, one seed, 7 images in blocks of 3."""
    return copy.deepcopy(TABLE)


@pytest.fixture
def experiment(table: dict[str, Any]) -> dict[str, Any]:
    """The experiment of `table`, to be changed by a test."""
    return table["experiment"][0]


@pytest.fixture
def planned(workspace: Workspace, tmp_path: Path) -> Callable[..., Plan]:
    """Plans a grid that is given as a table."""

    def plan(table: dict[str, Any], *, previous: Plan | None = None, wanted=everything) -> Plan:
        return plan_grid(
            TypeAdapter(Grid).validate_python(table),
            name="grid",
            folder=tmp_path,
            workspace=workspace,
            previous=previous,
            wanted=wanted,
        )

    return plan


@pytest.fixture
def of_stage() -> Callable[[Plan, str], list[Shard]]:
    """The shards of a plan that one stage computes, in the plan's order."""
    return lambda plan, stage: [shard for shard in plan.shards if shard.stage == stage]


TEXT = """
[[experiment]]
name = "study"
data = { name = "rooms", size = [32, 32], train = 16, test = 8 }
model = { name = "segnet_mtan", width = 0.0625 }
tasks = [{ name = "segmentation" }, { name = "depth", bins = 5 }]
training = { iterations = 12, batch = 4 }
pruning = { name = "netslim" }
sparsities = [0, 0.5]
seeds = [0]
explain = { images = 4, superpixels = { name = "slic", n_segments = 20 } }

[numerics]
irof_batch = "auto"

[resources]
data = { desk = "../desk" }
"""


@pytest.fixture
def grid_text() -> str:
    """A grid as it stands in a file."""
    return TEXT


@pytest.fixture
def grid_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes `grid_text`, with each `old` replaced by its `new`."""

    def write(*changes: tuple[str, str]) -> Path:
        text = TEXT
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def refusal() -> Callable[[Path], str]:
    """What `read_grid` says of a file, less the path that it begins with."""

    def read(path: Path) -> str:
        with pytest.raises(GridError) as caught:
            read_grid(path)
        text = str(caught.value)
        assert text.startswith(str(path))
        assert "\n" not in text
        return text.removeprefix(str(path)).removeprefix(": ")

    return read
