from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtljobs.contracts import Shard
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import RunFolder, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return workspace.run("demo")


@pytest.fixture
def shard() -> Shard:
    """One cell's evaluation."""
    return Shard(
        name="evaluate-segnet-0.5-0-0123456789ab",
        stage="evaluate",
        identity="0123456789ab" + "0" * 52,
        shared=False,
        parents=(),
        inputs={},
        spec={},
        place={},
    )


@pytest.fixture
def elsewhere() -> ProcessIdentity:
    """A process of which only silence can tell that it is gone: it runs on another node."""
    return dataclasses.replace(ProcessIdentity.current(), host="another-node", job=None)


@pytest.fixture
def silence() -> Callable[[Path], None]:
    """Make a file look as if it was last renewed six minutes ago."""

    def renewed_long_ago(path: Path) -> None:
        then = time.time() - 360
        os.utime(path, (then, then))

    return renewed_long_ago
