"""A number per task that is learned beside the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class LearnedVector:
    """A number per task and the Adam that learns it, on the device where they are asked for.

    Args:
        count: Of tasks.
        start: Value of each number before the first step.
        learning_rate: Until `step` is told another.
        weight_decay: L2 penalty inside the optimiser.
    """

    def __init__(
        self, count: int, *, start: float, learning_rate: float, weight_decay: float
    ) -> None:
        self._values = nn.Parameter(torch.full((count,), start))
        self._adam = torch.optim.Adam([self._values], lr=learning_rate, weight_decay=weight_decay)

    def values(self, like: Tensor) -> Tensor:
        """The numbers, without gradient, on the device of `like`."""
        if self._values.device != like.device:
            state = self._adam.state_dict()
            self._values = nn.Parameter(self._values.detach().to(like.device))
            self._adam = torch.optim.Adam([self._values])
            self._adam.load_state_dict(state)  # rates too; moments go to where the numbers are
        return self._values.detach()

    def step(self, gradient: Tensor, *, learning_rate: float | None = None) -> None:
        """One step down a gradient.

        Args:
            learning_rate: From this step on; None: as before.
        """
        if learning_rate is not None:
            self._adam.param_groups[0]["lr"] = learning_rate
        self._values.grad = gradient
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """The numbers and the moments of their optimiser."""
        return {"values": self._values.detach(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self._values.data.copy_(state["values"])
        self._adam.load_state_dict(state["adam"])
