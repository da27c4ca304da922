"""Where and how much, never what: nothing here is part of an identity."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Retry:
    """What is tried again on Slurm without anybody asking, by the cause of an attempt's end.

    What was preempted, or lost its node, is tried again however often; what ran out of time goes on
    from its checkpoint as long as it gets further; an error of the code is never tried again.

    Attributes:
        rounds: How often sweeps may try shards again before somebody has to resume the run; what
            was never tried goes on to be submitted.
        vanished: Jobs of a shard in a row that may end without a word before it is left.
        memory_factor: What the memory of a shard is multiplied with after it ran out of it, up to
            the profile's `memory_max_gb`.
        equal_tracebacks: Shards of a stage that may fail with one traceback before the rest of
            the stage is taken from the queue.
    """

    rounds: Annotated[int, Field(ge=0)] = 20
    vanished: Annotated[int, Field(ge=0)] = 3
    memory_factor: Annotated[float, Field(gt=1, le=4)] = 1.5
    equal_tracebacks: Annotated[int, Field(ge=1)] = 3


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
        retry: What is tried again on Slurm.
    """

    data: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    loader_workers: Annotated[int, Field(ge=0, le=64)] = 0
    checkpoint_every_s: Annotated[float, Field(gt=0)] = 60.0
    walltime_min: Annotated[int, Field(ge=1)] = 240
    memory_gb: Annotated[float, Field(gt=0)] = 16.0
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    retry: Retry = Retry()
