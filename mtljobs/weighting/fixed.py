"""Tasks count as much as the grid says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtljobs.contracts import Step
from mtljobs.weighting.memoryless import Memoryless


class Fixed(Memoryless):
    """A weighted sum of the task losses.

    Args:
        weights: Task name -> factor on its loss.
        tasks: Names, in the order of summation: float addition depends on it.
    """

    def __init__(self, *, weights: Mapping[str, float], tasks: Sequence[str]) -> None:
        self.weights = {task: weights[task] for task in tasks}

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """The weighted sum over the tasks."""
        return torch.stack([weight * losses[task] for task, weight in self.weights.items()]).sum()
