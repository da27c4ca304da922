"""The training loop: it knows batches, losses and steps, and nothing of pruning or weighting."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mtljobs.contracts import (
    Batch,
    Dataset,
    Progress,
    Step,
    StopFlag,
    Task,
    TrainingHook,
    Weighting,
)
from mtljobs.errors import DataError, DivergedError, StopRequested
from mtljobs.training.checkpoint import load_checkpoint, save_checkpoint
from mtljobs.training.order import EpochBatches, EpochSamples, collate
from mtljobs.training.resolution import resize_nearest

LOG_LINES = 200
"""About how many lines a training's history has."""


class Trainer:
    """Trains one network from where its checkpoint stands to the end.

    The result is a function of the arguments alone: not of the number of loader workers, nor of
    how often and where the training was interrupted.

    Args:
        iterations: Optimiser steps in all.
        batch: Images per step.
        optimiser: "adam".
        learning_rate: At iteration 0.
        weight_decay: L2 penalty inside the optimiser.
        decay_every: Iterations between decays of the learning rate, or None.
        decay_factor: What a decay multiplies the learning rate with.
        flip: Mirror half of the images.
        model: Trained in place, on the device where it is.
        tasks: Task name -> task.
        weighting: Balances the losses.
        hooks: What a pruning method adds to each step.
        dataset: The training split.
        seed: Of the order of images and their augmentation.
    """

    def __init__(
        self,
        *,
        iterations: int,
        batch: int,
        optimiser: str,
        learning_rate: float,
        weight_decay: float,
        decay_every: int | None,
        decay_factor: float,
        flip: bool,
        model: nn.Module,
        tasks: Mapping[str, Task],
        weighting: Weighting,
        hooks: Sequence[TrainingHook],
        dataset: Dataset,
        seed: int,
    ) -> None:
        self.iterations = iterations
        self.batch = batch
        self.learning_rate = learning_rate
        self.decay_every = decay_every
        self.decay_factor = decay_factor
        self.model = model
        self.tasks = tasks
        self.weighting = weighting
        self.hooks: tuple[TrainingHook, ...] = (*hooks, weighting)
        self.samples = EpochSamples(dataset, seed=seed, flip=flip)
        self.seed = seed
        self.optimiser = _OPTIMISERS[optimiser](
            model.parameters(), lr=learning_rate, weight_decay=weight_decay
        )
        self.iteration = 0
        self.history: list[dict[str, float]] = []
        self._window: dict[str, float] = {}

    def run(
        self,
        *,
        checkpoint: Path,
        checkpoint_every_s: float,
        loader_workers: int,
        stop: StopFlag,
        progress: Progress,
    ) -> list[dict[str, float]]:
        """Train to the end.

        Args:
            checkpoint: Read first where it exists, replaced as the training goes on.
            checkpoint_every_s: Seconds between checkpoints.
            loader_workers: Processes that load images; 0 loads in this one.
            stop: Asked before every step.
            progress: Told after every step.

        Returns:
            Mean loss per task over windows of the training, with the iteration that ends each.

        Raises:
            StopRequested: `stop` said so; the checkpoint holds everything up to here.
            DataError: An image cannot be read; the checkpoint holds everything up to there.
            DivergedError: A loss is not finite any more.
        """
        state = load_checkpoint(checkpoint)
        if state is not None:
            self._restore(state)
        self.model.train()
        saved_at = time.monotonic()
        try:
            for batch in self._batches(loader_workers, stop):
                if time.monotonic() - saved_at >= checkpoint_every_s:
                    save_checkpoint(checkpoint, self._state())
                    saved_at = time.monotonic()
                self._step(batch)
                progress(self.iteration, self.iterations, "iterations")
        except (DataError, StopRequested):  # both between two steps, where the state is whole
            save_checkpoint(checkpoint, self._state())
            raise
        save_checkpoint(checkpoint, self._state())
        return self.history

    def _step(self, batch: Batch) -> None:
        step = Step(
            iteration=self.iteration,
            epoch=self.iteration // (len(self.samples) // self.batch),
            learning_rate=self._rate(),
            losses=lambda: [batch_losses(self.model, batch, self.tasks)],
        )
        for group in self.optimiser.param_groups:
            group["lr"] = step.learning_rate
        [losses] = step.losses()
        self.optimiser.zero_grad(set_to_none=True)
        self.weighting.combine(losses, step).backward()  # type: ignore[no-untyped-call]
        for hook in self.hooks:
            hook.after_backward(self.model, step)
        self.optimiser.step()
        for hook in self.hooks:
            hook.after_step(self.model, step)
        self.iteration += 1
        self._note(losses)

    def _rate(self) -> float:
        decays = self.iteration // self.decay_every if self.decay_every else 0
        return self.learning_rate * self.decay_factor**decays

    def _note(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self._window[name] = self._window.get(name, 0.0) + value.item()
        window = max(1, self.iterations // LOG_LINES)
        if self.iteration % window == 0 or self.iteration == self.iterations:
            steps = self.iteration % window or window
            means = {name: total / steps for name, total in self._window.items()}
            if not all(math.isfinite(mean) for mean in means.values()):
                raise DivergedError(
                    f"the training diverged: mean losses {means} before iteration "
                    f"{self.iteration}. Lower training.learning_rate, and submit to another run."
                )
            self.history.append({"iteration": self.iteration, **means})
            self._window = {}

    def _batches(self, workers: int, stop: StopFlag) -> Iterator[Batch]:
        """Batches from the present iteration on, on the model's device, until told to stop."""
        device = next(self.model.parameters()).device
        batches = EpochBatches(
            count=len(self.samples),
            batch=self.batch,
            seed=self.seed,
            start=self.iteration,
            stop=self.iterations,
        )
        loader: DataLoader[Batch | Exception] = DataLoader(
            self.samples,  # type: ignore[arg-type]
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=workers,
            # Not fork: this process has a thread that keeps the heartbeat.
            multiprocessing_context="forkserver" if workers else None,
            worker_init_fn=_ignore_signals,
            # Of its own: a loader that starts again, after a resume, draws from nobody else's.
            generator=torch.Generator(),
        )
        for batch in loader:
            if stop():
                raise StopRequested(f"stopped before iteration {self.iteration}")
            if isinstance(batch, Exception):
                raise batch
            yield {name: value.to(device) for name, value in batch.items()}

    def _state(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "hooks": [hook.state_dict() for hook in self.hooks],
            "generator": torch.get_rng_state(),
            "device_generators": torch.cuda.get_rng_state_all(),
            "history": self.history,
            "window": self._window,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for hook, values in zip(self.hooks, state["hooks"], strict=True):
            hook.load_state_dict(values)
        torch.set_rng_state(state["generator"])
        torch.cuda.set_rng_state_all(state["device_generators"])
        self.history = list(state["history"])
        self._window = dict(state["window"])


_OPTIMISERS = {"adam": torch.optim.Adam}


def batch_losses(model: nn.Module, batch: Batch, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """Loss per task of a model on a batch, at the resolution of its predictions."""
    predictions = model(batch["image"], tuple(tasks))
    return {name: _loss(task, predictions[name], batch[name]) for name, task in tasks.items()}


def _loss(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    rows, columns = prediction.shape[-2:]
    return task.loss(prediction, resize_nearest(target, (rows, columns)))


def _ignore_signals(worker: int) -> None:
    """A loader worker dies with its parent, not with the notice that its parent acts on."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
