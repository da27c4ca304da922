from __future__ import annotations

from pathlib import Path

import pytest

from mtljobs.cluster.runs import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.paths import RunFolder, Workspace

GRID = """
[[experiment]]
name = "study"
data = { name = "rooms", size = [32, 32], train = 16, test = 8 }
model = { name = "segnet_mtan", width = 0.0625 }
tasks = [{ name = "segmentation" }, { name = "depth" }]
training = { iterations = 12, batch = 4 }
pruning = { name = "netslim" }
sparsities = [0, 0.5]
seeds = [0]
explain = { images = 4, block = 2 }
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that nothing was ever written to."""
    return Workspace(tmp_path / "runs")


@pytest.fixture
def grid_file(tmp_path: Path):
    """Writes `GRID`, with each `old` replaced by its `new`, and says where."""

    def write(*changes: tuple[str, str], name: str = "study") -> str:
        text = GRID
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def submitted(workspace: Workspace, grid_file):
    """Freezes the plan of `GRID` as a run, as `mtljobs submit` does before it works on it."""

    def submit(name: str = "study", *changes: tuple[str, str]) -> RunFolder:
        proposal = propose(grid_file(*changes), workspace=workspace, run_name=name)
        freeze(proposal)
        return proposal.run

    return submit
