"""The validation split, measured as a training goes on, and the weights that did best on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from mtljobs.contracts import Batch, Dataset, StopFlag, Task
from mtljobs.errors import StopRequested
from mtljobs.training.history import Entry, require_finite
from mtljobs.training.resolution import resize_nearest

Predict = Callable[[Tensor, tuple[str, ...]], dict[str, Tensor]]
"""Images and task names -> a prediction per task."""


class Validation:
    """Losses and metrics on images that nothing is learnt from.

    Measuring changes neither the network nor a random state: batch norm uses its statistics,
    nothing is dropped, and images come whole, in order, in this process.

    Args:
        every: Iterations from one measurement to the next, or None.
        keep: "last" or "best" weights.
        batch: Images per forward pass.
        iterations: Length of the training, whose end is always measured.
        dataset: The validation split.
        tasks: Task name -> task.
        losses: Loss per task of a network on a batch.
    """

    def __init__(
        self,
        *,
        every: int | None,
        keep: str,
        batch: int,
        iterations: int,
        dataset: Dataset,
        tasks: Mapping[str, Task],
        losses: Callable[[Predict, Batch], Mapping[str, Tensor]],
    ) -> None:
        self._every = every
        self._keeps_best = keep == "best"
        self._batch = batch
        self._iterations = iterations
        self._dataset = dataset
        self._tasks = tasks
        self._losses = losses
        self._measured_at = 0
        self._best_loss = math.inf
        self._best: dict[str, Tensor] = {}

    def is_due(self, iteration: int) -> bool:
        """Whether the network of this iteration is to be measured, and was not yet."""
        if self._every is None or iteration <= self._measured_at:
            return False
        return iteration % self._every == 0 or iteration == self._iterations

    def measure(
        self, model: nn.Module, predict: Predict, *, iteration: int, stop: StopFlag
    ) -> Entry:
        """The history's entry of this iteration: mean loss and metrics of each task.

        Args:
            model: In training mode, before and after.
            predict: The model as it is trained, in its number format.

        Raises:
            DataError: An image cannot be read.
            DivergedError: A loss is not finite.
            StopRequested: `stop` said so; the measurement is due again.
        """
        model.eval()
        try:
            losses, metrics = self._pass(predict, next(model.parameters()).device, stop)
        finally:
            model.train()
        require_finite(losses, "validation loss", iteration)
        self._measured_at = iteration
        # The sum, whatever the weighting: weights that move would make iterations incomparable.
        if self._keeps_best and sum(losses.values()) < self._best_loss:
            self._best_loss = sum(losses.values())
            self._best = {
                name: value.to("cpu", copy=True) for name, value in model.state_dict().items()
            }
        return {
            "iteration": iteration,
            **{f"validation/{task}/loss": loss for task, loss in losses.items()},
            **{name: value for name, value in metrics.items() if math.isfinite(value)},
        }

    def choose(self, model: nn.Module) -> None:
        """Put the best weights into the model, where these are to be kept."""
        if self._keeps_best:
            model.load_state_dict(self._best)

    def state_dict(self) -> dict[str, Any]:
        """What was measured last, and the best weights so far."""
        return {
            "measured_at": self._measured_at,
            "best_loss": self._best_loss,
            "best": self._best,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self._measured_at = state["measured_at"]
        self._best_loss = state["best_loss"]
        self._best = dict(state["best"])

    @torch.no_grad()
    def _pass(
        self, predict: Predict, device: torch.device, stop: StopFlag
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Mean losses over the images, and metrics over the pixels, of the whole split."""
        sums = dict.fromkeys(self._tasks, 0.0)
        meters = {name: task.meter() for name, task in self._tasks.items()}
        count = len(self._dataset)
        for start in range(0, count, self._batch):
            if stop():
                raise StopRequested("stopped during a validation, which is due again")
            chosen = range(start, min(start + self._batch, count))
            batch = _to_device([self._dataset[index] for index in chosen], device)
            predictions = predict(batch["image"], tuple(self._tasks))
            losses = self._losses(lambda images, tasks, known=predictions: known, batch)
            rows, columns = batch["image"].shape[-2:]
            for name, meter in meters.items():
                sums[name] += losses[name].item() * len(chosen)
                meter.update(resize_nearest(predictions[name], (rows, columns)), batch[name])
        metrics = {
            f"validation/{name}/{metric}": value
            for name, meter in meters.items()
            for metric, value in meter.compute().items()
        }
        return {name: total / count for name, total in sums.items()}, metrics


def _to_device(samples: list[Any], device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in default_collate(samples).items()}
