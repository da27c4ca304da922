"""Fast Adaptive Multitask Optimization: tasks that lag behind gain weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.contracts import Step
from mtljobs.errors import DivergedError
from mtljobs.weighting.learned import LearnedVector


class FAMO:
    """Lowers the logarithms of all losses at about the same rate.

    After the network's step the losses of the same batch are computed once more, without
    gradients but in training mode, as in the released code: batch norms see every batch twice.

    Args:
        learning_rate: Of the logits.
        weight_decay: L2 penalty on the logits.
        epsilon: Added to a loss before its logarithm is taken.
        tasks: Names, in the order of the logits.

    Source: Liu et al. (arXiv:2306.03792), algorithm 2, with the released code's Adam for the
        logits. Departure: where a batch comes in parts, each part is balanced by its own losses;
        the logits learn from the means over the parts.
    """

    def __init__(
        self, *, learning_rate: float, weight_decay: float, epsilon: float, tasks: Sequence[str]
    ) -> None:
        self.tasks = tuple(tasks)
        self.epsilon = epsilon
        self.logits = LearnedVector(
            len(self.tasks), start=0.0, learning_rate=learning_rate, weight_decay=weight_decay
        )
        self._before: list[Tensor] = []  # losses of this step's parts so far

    def combine(self, losses: Mapping[str, Tensor], step: Step) -> Tensor:
        """A sum of logarithms whose gradient is a convex combination of the losses' gradients."""
        ordered = self._ordered(losses)
        self._before.append(ordered.detach())
        weights = self.logits.values(like=ordered).softmax(0)
        shifted = ordered + self.epsilon
        scale = (weights / shifted.detach()).sum()
        return (weights * shifted.log()).sum() / scale

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Learn the logits from how far the step has lowered each loss of its batch.

        Raises:
            DivergedError: A loss of this step was not positive.
        """
        with torch.no_grad():
            before = torch.stack(self._before)
            after = torch.stack([self._ordered(part) for part in step.losses()])
        self._before = []
        # Once a step, not in `combine` as well: a GPU waits for every look at its numbers.
        self._require_positive(torch.cat([before, after]).amin(0))
        fall = (before.mean(0) + self.epsilon).log() - (after.mean(0) + self.epsilon).log()
        weights = self.logits.values(like=fall).softmax(0)
        self.logits.step(weights * (fall - (weights * fall).sum()))

    def state_dict(self) -> dict[str, Any]:
        """The logits and their optimiser's moments."""
        return self.logits.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self.logits.load_state_dict(state)

    def _ordered(self, losses: Mapping[str, Tensor]) -> Float[Tensor, "task"]:
        return torch.stack([losses[task] for task in self.tasks])

    def _require_positive(self, lowest: Float[Tensor, "task"]) -> None:
        if (lowest <= 0).any():
            received = dict(zip(self.tasks, lowest.tolist(), strict=True))
            raise DivergedError(
                f"the weighting famo takes the logarithm of every loss, and received {received}, "
                "where each should be above 0. A loss of exactly 0 comes of a batch without one "
                "valid pixel for the task: raise training.batch. Of a loss that can be negative, "
                "choose another weighting."
            )
