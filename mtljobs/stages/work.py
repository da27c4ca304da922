"""What a stage is handed: one shard, where to write, and how to hear that it must stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtljobs.contracts import ExperimentLayout, Progress, Shard, StopFlag
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.settings.resources import Resources


@dataclass(frozen=True)
class Work:
    """One attempt at one shard, as the worker hands it to the stage's `run`.

    A stage fills `output` and returns; the worker hashes, commits and records. A stage that is
    asked to stop writes its checkpoint to `scratch` and raises `StopRequested`.

    Attributes:
        shard: The plan's line.
        layouts: The store's layout per experiment, as the plan fixes it.
        backend: Of the store, as in `[store]`.
        resources: As the grid says.
        run: That the attempt belongs to.
        workspace: Where inputs lie.
        output: Private and empty; what is in it when `run` returns is the result. The reduction,
            which has no record, is given the run's `tables`.
        scratch: Survives attempts; removed after the commit.
        stop: Whether the worker was asked to stop.
        progress: Where to report how far the work is.
    """

    shard: Shard
    layouts: Mapping[str, ExperimentLayout]
    backend: str
    resources: Resources
    run: RunFolder
    workspace: Workspace
    output: Path
    scratch: Path
    stop: StopFlag
    progress: Progress
