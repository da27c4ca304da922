"""Losses weighed by a variance that is learned for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtljobs.contracts import Step
from mtljobs.weighting.learned import LearnedVector


class Uncertainty:
    """Sums loss / (2 variance) + log(variance) / 2 over the tasks, and learns the variances.

    They are learned by an Adam of their own, at the learning rate of the network's. Adam works
    number by number, so this is the same as to have them among the network's parameters, less its
    weight decay.

    Args:
        log_variance: That every task starts with.
        tasks: Names, in the order of summation: float addition depends on it.

    Source: Kendall et al. (arXiv:1705.07115), equation 7, with log(variance) learned as they
        advise. Departure, that of the released code of MTAN: every loss is taken as a regression's,
        also segmentation's, whose own form would lack the factor 1/2.
    """

    def __init__(self, *, log_variance: float, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self.log_variances = LearnedVector(
            len(self.tasks), start=log_variance, learning_rate=0.0, weight_decay=0.0
        )
        self._parts: list[Tensor] = []  # losses of this step's parts so far

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """The weighed sum, as the network learns from it."""
        ordered = torch.stack([losses[task] for task in self.tasks])
        self._parts.append(ordered.detach())
        log_variances = self.log_variances.values(like=ordered)
        return (ordered * (-log_variances).exp() + log_variances).sum() / 2

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Learn the variances from the losses of this step, at the network's learning rate."""
        mean = torch.stack(self._parts).mean(0)
        log_variances = self.log_variances.values(like=mean)
        # Written out: a gradient that came through `backward` would bear a loss scaler's factor.
        gradient = (1 - mean * (-log_variances).exp()) / 2
        self.log_variances.step(gradient, learning_rate=step.learning_rate)
        self._parts = []

    def state_dict(self) -> dict[str, Any]:
        """The variances and their optimiser's moments."""
        return self.log_variances.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self.log_variances.load_state_dict(state)
