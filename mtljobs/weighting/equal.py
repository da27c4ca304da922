"""Every task counts the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtljobs.contracts import Step
from mtljobs.weighting.memoryless import Memoryless


class Equal(Memoryless):
    """The plain sum of the task losses.

    Args:
        tasks: Names, in the order of summation: float addition depends on it.
    """

    def __init__(self, *, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """The sum over the tasks."""
        return torch.stack([losses[task] for task in self.tasks]).sum()
