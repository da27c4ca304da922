from __future__ import annotations

from pathlib import Path

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger import attempts
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.frozen import read_newest
from testbed.image import base_root, build_image

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


@pytest.fixture
def run(submitted):
    """A run of two cells that nobody has worked on."""
    return submitted()


@pytest.fixture
def shards(run):
    """The shards of the run's plan by a short name: stage, or phase, and what tells them apart."""
    plan = read_newest(run)
    dense, half = plan.cells
    names = [*dense.shards[:2], *half.shards[1:4], *dense.shards[2:], *half.shards[4:]]
    keys = ["segment", "dense", "train", "cut", "tune", "evaluate-dense", "explain-dense-0",
            "explain-dense-1", "evaluate", "explain-0", "explain-1"]  # fmt: skip
    by_name = {shard.name: shard for shard in plan.shards}
    return {key: by_name[name] for key, name in zip(keys, names, strict=True)}


@pytest.fixture
def finish(run, workspace, shards):
    """Commits results of shards, as their workers would."""

    def commit(*keys):
        for key in keys:
            shard = shards[key]
            folder = create_folder(result_folder(workspace, run, shard))
            write_record(
                folder, make_record(folder, shard=shard.name, identity=shard.identity, versions={})
            )

    return commit


@pytest.fixture
def attempt(run, shards):
    """Begins an attempt at a shard and, if it has one, writes its end."""

    def begin(key, outcome=None, detail=""):
        started = attempts.begin(run.attempts, shards[key].name, device="cpu")
        if outcome is not None:
            started.end(outcome, detail)
        return started

    return begin


@pytest.fixture(scope="session")
def image(apptainer) -> Path:
    """An image with Python, made of this machine's release of Debian."""
    definition = Path(__file__).with_name("host.def")
    return build_image(definition, arguments={"ROOT": str(base_root())})
