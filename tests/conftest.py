"""What holds for every test, whatever ran before it in the same process."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

# A real Slurm for the tests that are marked so.
pytest_plugins = ["testbed.fixtures"]


@pytest.fixture(autouse=True)
def _torch_is_as_it_was_imported() -> Iterator[None]:
    """Stages set torch to a plan's numerics, for their process: here the next test shares it."""
    yield
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(False)
