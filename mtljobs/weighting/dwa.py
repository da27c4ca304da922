"""Dynamic Weight Average: weights from how the losses fell over the last two epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.contracts import Step
from mtljobs.errors import DivergedError

HISTORY = 2
"""Epochs whose mean losses the weights depend on."""


class DWA:
    """A weighted sum of the losses; the weights sum to the number of tasks, and change by epoch.

    The first two epochs weigh all tasks the same.

    Args:
        temperature: The higher, the more equal the weights are.
        tasks: Names, in the order of summation: float addition depends on it.

    Source: Liu et al. (arXiv:1803.10704), equation 7. Where a batch comes in parts, an epoch's
        mean is over its parts, which are equally large.
    """

    def __init__(self, *, temperature: float, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self.temperature = temperature
        self._epoch = 0
        self._sum = torch.zeros(len(self.tasks))
        self._parts = 0
        self._means: list[Float[Tensor, "task"]] = []  # of the last epochs, oldest first

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """The weighted sum over the tasks, which are then part of their epoch's mean.

        Raises:
            DivergedError: A task's mean over the epoch that has ended is not positive.
        """
        ordered = torch.stack([losses[task] for task in self.tasks])
        if step.epoch != self._epoch:
            self._end_epoch(step.epoch)
        self._sum = self._sum.to(ordered.device) + ordered.detach()
        self._parts += 1
        return (self._weights(like=ordered) * ordered).sum()

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """The mean losses of the last epochs, and the sum of this one so far."""
        return {
            "epoch": self._epoch,
            "sum": self._sum,
            "parts": self._parts,
            "means": list(self._means),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self._epoch = state["epoch"]
        self._sum = state["sum"]
        self._parts = state["parts"]
        self._means = list(state["means"])

    def _end_epoch(self, following: int) -> None:
        mean = self._sum / self._parts
        if (mean <= 0).any():
            raise DivergedError(
                f"the weighting dwa divides by each loss's mean over an epoch, and received "
                f"{dict(zip(self.tasks, mean.tolist(), strict=True))}, where each should be above "
                "0. A mean of 0 comes of a task without one valid pixel: leave the task out, or "
                "choose another weighting."
            )
        self._means = [*self._means, mean][-HISTORY:]
        self._epoch = following
        self._sum = torch.zeros_like(self._sum)
        self._parts = 0

    def _weights(self, like: Tensor) -> Float[Tensor, "task"]:
        if len(self._means) < HISTORY:
            return torch.ones_like(like)
        older, newer = (mean.to(like.device) for mean in self._means)
        return len(self.tasks) * (newer / older / self.temperature).softmax(0)
