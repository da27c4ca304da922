"""Where a shard of a run writes: the part of the store that its cell, or image block, owns."""

from __future__ import annotations

import numpy as np

from mtljobs.stages.work import Work
from mtljobs.store.backend import load_backend
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging


class CellWriter:
    """Writes arrays of one cell into the attempt's private folder."""

    def __init__(self, work: Work) -> None:
        backend = load_backend(work.backend)
        self._staging = Staging(work.output, build_schema(work.layouts), backend)
        self._experiment = work.shard.place["experiment"]
        self._sparsity = work.shard.place["sparsity"]
        self._seed = work.shard.place["seed"]
        self._block = work.shard.place.get("block")

    @property
    def owns_constants(self) -> bool:
        """Whether arrays without a sparsity and a seed are this cell's to write."""
        return (self._sparsity, self._seed) == (0, 0)

    def write_experiment(self, array: str, values: np.ndarray) -> None:
        """Write an array of the experiment's node."""
        self._write(self._experiment, array, values)

    def write_task(self, task: str, array: str, values: np.ndarray) -> None:
        """Write an array of a task's node."""
        self._write(f"{self._experiment}/{task}", array, values)

    def _write(self, node: str, array: str, values: np.ndarray) -> None:
        self._staging.write(
            node, array, values, sparsity=self._sparsity, seed=self._seed, block=self._block
        )
