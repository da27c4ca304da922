"""Where and how much, never what: nothing here is part of an identity."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Resources:
    """What one shard may use, and where data sets lie.

    Attributes:
        data: Data set id -> folder, read only; relative folders count from the grid file.
        weights: SHA-256 of a weights file -> its path; a plan adds the files of its experiments.
        loader_workers: Processes that load images beside a training; 0 loads in the worker.
        checkpoint_every_s: Seconds of training between checkpoints.
        walltime_min: Time limit of a Slurm job in minutes.
        memory_gb: Memory of a Slurm job.
        gpus: GPUs of a Slurm job; one shard uses one at most.
    """

    data: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    loader_workers: Annotated[int, Field(ge=0, le=64)] = 0
    checkpoint_every_s: Annotated[float, Field(gt=0)] = 60.0
    walltime_min: Annotated[int, Field(ge=1)] = 240
    memory_gb: Annotated[float, Field(gt=0)] = 16.0
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
