"""Every task counts the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtljobs.contracts import Step


class Equal:
    """The plain sum of the task losses; learns nothing and remembers nothing.

    Args:
        tasks: Names, in the order of summation: float addition depends on it.
    """

    def __init__(self, *, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)

    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum over the tasks."""
        return torch.stack([losses[task] for task in self.tasks]).sum()

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""
