"""The training loop: it knows batches, losses and steps, and nothing of pruning or weighting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtljobs.contracts import (
    MASK_AGREEMENT,
    Batch,
    Dataset,
    Progress,
    Step,
    StopFlag,
    Task,
    TrainingHook,
    Weighting,
)
from mtljobs.data.augment import Augmentation
from mtljobs.errors import DataError, StopRequested
from mtljobs.training.checkpoint import load_checkpoint, named_tensors, save_checkpoint
from mtljobs.training.history import Entry, History, diverged
from mtljobs.training.loading import load_batches
from mtljobs.training.order import EpochBatches, EpochSamples
from mtljobs.training.precision import Precision
from mtljobs.training.resolution import resize_nearest
from mtljobs.training.validation import Predict, Validation


class Trainer:
    """Trains one network from where its checkpoint stands to the end.

    The result is a function of the arguments alone: not of the number of loader workers, nor of
    how often and where the training was interrupted.

    Args:
        iterations: Optimiser steps in all.
        epochs: None: a plan has made iterations of them.
        batch: Images per step.
        accumulate: Equal parts that a batch is taken in.
        optimiser: "adam".
        learning_rate: At iteration 0.
        weight_decay: L2 penalty inside the optimiser.
        decay_every: Iterations between decays of the learning rate, or None.
        decay_factor: What a decay multiplies the learning rate with.
        scales: Zooms to draw from.
        zoom: "mtan" or "exact", what a zoom does to targets.
        flip: Mirror half of the images.
        autocast: Number format of forward passes, or "off".
        channels_last: Channels innermost in memory.
        validate_every: Iterations between measurements of the validation split, or None.
        keep: "last" or "best" weights.
        model: Trained in place, on the device where it is.
        tasks: Task name -> task.
        weighting: Balances the losses.
        hooks: What a pruning method adds to each step.
        dataset: The training split.
        validation: The validation split; only asked for what `validate_every` needs.
        depth_unit: Of the data set.
        seed: Of the order of images and their augmentation.
    """

    def __init__(
        self,
        *,
        iterations: int,
        epochs: None,
        batch: int,
        accumulate: int,
        optimiser: str,
        learning_rate: float,
        weight_decay: float,
        decay_every: int | None,
        decay_factor: float,
        scales: tuple[float, ...],
        zoom: str,
        flip: bool,
        autocast: str,
        channels_last: bool,
        validate_every: int | None,
        keep: str,
        model: nn.Module,
        tasks: Mapping[str, Task],
        weighting: Weighting,
        hooks: Sequence[TrainingHook],
        dataset: Dataset,
        validation: Dataset,
        depth_unit: str,
        seed: int,
    ) -> None:
        self.iterations = iterations
        self.batch = batch
        self.accumulate = accumulate
        self.learning_rate = learning_rate
        self.decay_every = decay_every
        self.decay_factor = decay_factor
        self.model = model
        self.device = next(model.parameters()).device
        self.tasks = tasks
        self.weighting = weighting
        self.hooks: tuple[TrainingHook, ...] = (*hooks, weighting)
        self.samples = EpochSamples(
            dataset,
            seed=seed,
            augmentation=Augmentation(scales=scales, flip=flip, zoom=zoom, depth_unit=depth_unit),
        )
        self.seed = seed
        self.precision = Precision(autocast=autocast, channels_last=channels_last, model=model)
        self.optimiser = _OPTIMISERS[optimiser](
            model.parameters(), lr=learning_rate, weight_decay=weight_decay
        )
        self.iteration = 0
        self.history = History(tasks=tuple(tasks), iterations=iterations)
        self.validation = Validation(
            every=validate_every,
            keep=keep,
            batch=batch // accumulate,
            iterations=iterations,
            dataset=validation,
            tasks=tasks,
            losses=lambda predict, batch: batch_losses(predict, batch, tasks),
        )

    def run(
        self,
        *,
        checkpoint: Path,
        checkpoint_every_s: float,
        loader_workers: int,
        stop: StopFlag,
        progress: Progress,
        told: Callable[[Entry], None],
    ) -> list[Entry]:
        """Train to the end.

        No checkpoint ever holds numbers of the network or of a hook that are not finite, or comes
        after a loss that was not.

        Args:
            checkpoint: Read first where it exists, replaced as the training goes on.
            checkpoint_every_s: Seconds between checkpoints.
            loader_workers: Processes that load images; 0 loads in this one.
            stop: Asked before every step.
            progress: Told after every step.
            told: Given each entry of the history as it is made. After a resume, those since the
                checkpoint come again, the same as before.

        Returns:
            The history: mean loss per task over windows of the training, with the iteration that
            ends each, and what was measured on the validation split.

        Raises:
            StopRequested: `stop` said so; the checkpoint holds everything up to here.
            DataError: An image cannot be read; the checkpoint holds everything up to there.
            DivergedError: A loss is not finite any more: at that step on a CPU, one step later on
                a GPU. The last checkpoint is from before, and stays.
        """
        state = load_checkpoint(checkpoint)
        if state is not None:
            self._restore(state)
        self.history.told = told
        self.model.train()
        saved_at = time.monotonic()
        try:
            self._validate(stop)  # due where a stop or an unreadable image came in between
            for batch in self._batches(loader_workers, stop):
                if time.monotonic() - saved_at >= checkpoint_every_s:
                    self._save(checkpoint)
                    saved_at = time.monotonic()
                self._step(batch)
                self._validate(stop)
                progress(self.iteration, self.iterations, "iterations")
        except (DataError, StopRequested):  # both between two steps, where the state is whole
            self._save(checkpoint)
            raise
        self._save(checkpoint)
        self.validation.choose(self.model)
        return self.history.entries

    def _step(self, batch: Batch) -> None:
        step = Step(
            iteration=self.iteration,
            epoch=self.iteration // (len(self.samples) // self.batch),
            learning_rate=self._rate(),
            losses=lambda: self._part_losses(batch),
        )
        for group in self.optimiser.param_groups:
            group["lr"] = step.learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        found = []
        for losses in step.losses():
            self.precision.backward(self.weighting.combine(losses, step) / self.accumulate)
            found.append(torch.stack([losses[name].detach() for name in self.tasks]))
        self.precision.unscale(self.optimiser)
        for hook in self.hooks:
            hook.after_backward(self.model, step)
        self.precision.step(self.optimiser)
        for hook in self.hooks:
            hook.after_step(self.model, step)
        self.iteration += 1
        self.history.note(
            torch.stack(found).mean(dim=0),
            iteration=self.iteration,
            learning_rate=step.learning_rate,
        )

    def _part_losses(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """Losses of one part of a batch after the other; each part's graph goes with its losses."""
        size = self.batch // self.accumulate
        for start in range(0, self.batch, size):
            part = {name: values[start : start + size] for name, values in batch.items()}
            yield batch_losses(self.precision, part, self.tasks)

    def _rate(self) -> float:
        decays = self.iteration // self.decay_every if self.decay_every else 0
        return self.learning_rate * self.decay_factor**decays

    def _validate(self, stop: StopFlag) -> None:
        if self.validation.is_due(self.iteration):
            self.history.settle()
            entry = self.validation.measure(
                self.model, self.precision, iteration=self.iteration, stop=stop
            )
            self.history.add(entry)

    def _batches(self, workers: int, stop: StopFlag) -> Iterator[Batch]:
        """Batches from the present iteration on."""
        batches = EpochBatches(
            count=len(self.samples),
            batch=self.batch,
            seed=self.seed,
            start=self.iteration,
            stop=self.iterations,
        )
        return load_batches(self.samples, batches, workers=workers, device=self.device, stop=stop)

    def _save(self, checkpoint: Path) -> None:
        """Replace the checkpoint, by none that is not good.

        Raises:
            DivergedError: A loss, weight or other state is not finite, or no step is taken.
        """
        self.history.settle()
        self.precision.require_steps()
        state = self._state()
        hooks = (type(hook).__name__ for hook in self.hooks)
        owned = {**state["model"], **dict(zip(hooks, state["hooks"], strict=True))}
        for name, values in named_tensors(owned):
            # An agreement that was never measured is NaN.
            if not name.endswith(MASK_AGREEMENT) and not values.isfinite().all():
                raise diverged(f"{name} is not finite after iteration {self.iteration}")
        save_checkpoint(checkpoint, state)

    def _state(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.precision.state_dict(),
            "hooks": [hook.state_dict() for hook in self.hooks],
            "generator": torch.get_rng_state(),
            # Of this device alone: a resume may find fewer others.
            "device_generator": torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            "history": self.history.state_dict(),
            "validation": self.validation.state_dict(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.precision.load_state_dict(state["precision"])
        for hook, values in zip(self.hooks, state["hooks"], strict=True):
            hook.load_state_dict(values)
        torch.set_rng_state(state["generator"])
        if self.device.type == "cuda" and state["device_generator"] is not None:
            torch.cuda.set_rng_state(state["device_generator"], self.device)
        self.history.load_state_dict(state["history"])
        self.validation.load_state_dict(state["validation"])


_OPTIMISERS = {"adam": torch.optim.Adam}


def batch_losses(model: Predict, batch: Batch, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """Loss per task of a model on a batch, at the resolution of its predictions."""
    predictions = model(batch["image"], tuple(tasks))
    return {name: _loss(task, predictions[name], batch[name]) for name, task in tasks.items()}


def _loss(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    rows, columns = prediction.shape[-2:]
    return task.loss(prediction, resize_nearest(target, (rows, columns)))
