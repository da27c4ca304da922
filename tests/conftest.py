"""What holds for every test, whatever ran before it in the same process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A real Slurm for the tests that are marked so.
pytest_plugins = ["testbed.fixtures"]

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


@pytest.fixture(autouse=True)
def _torch_is_as_it_was_imported() -> Iterator[None]:
    """Stages set torch to a plan's numerics, for their process: here the next test shares it."""
    yield
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def grid_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a grid of two cells, with each `old` replaced by its `new`, and says where."""

    def write(*changes: tuple[str, str], name: str = "study", folder: Path = tmp_path) -> Path:
        text = GRID
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = folder / f"{name}.toml"
        path.write_text(text)
        return path

    return write
