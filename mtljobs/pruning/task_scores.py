"""What each task makes of the weights that it uses: gradients of its own loss, and places by score.

A task uses the convolutions that all tasks share, and its own. Losses are those of the tasks, each
by itself: how a training weighs them against each other does not matter here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtljobs.contracts import Batch
from mtljobs.pruning.masks import all_convolutions, owner

PerTask = Mapping[str, Mapping[str, Tensor]]
"""Task -> convolution that it uses -> a value for each of its weights."""


def task_convolutions(model: nn.Module, task: str) -> dict[str, nn.Conv2d]:
    """The convolutions that a task uses, in the order of the module."""
    return {
        name: convolution
        for name, convolution in all_convolutions(model).items()
        if owner(name) in (None, task)
    }


def task_gradients(
    model: nn.Module, losses: Mapping[str, Tensor]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Gradient of each task's loss, task by task; what training accumulates is left alone.

    Args:
        losses: Per task, of one forward pass; its graph is freed with the last task.

    Yields:
        A task, and d(loss) / d(weight) of every convolution that it uses; masked weights too.
    """
    last = list(losses)[-1]
    for task, loss in losses.items():
        convolutions = task_convolutions(model, task)
        gradients = torch.autograd.grad(
            loss,
            [convolution.weight for convolution in convolutions.values()],
            retain_graph=task != last,
            materialize_grads=True,
        )
        yield task, dict(zip(convolutions, gradients, strict=True))


def gradient_sizes(
    model: nn.Module,
    batches: Iterable[Batch],
    losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
) -> dict[str, dict[str, Tensor]]:
    """|d(loss) / d(weight)| per task, added over the batches."""
    sizes: dict[str, dict[str, Tensor]] = {}
    for batch in batches:
        for task, gradients in task_gradients(model, losses(model, batch)):
            sums = sizes.setdefault(task, {})
            for name, gradient in gradients.items():
                sums[name] = sums[name] + gradient.abs() if name in sums else gradient.abs()
    return sizes


@contextmanager
def scoring(model: nn.Module, *, dropout: bool) -> Iterator[None]:
    """A context in which a network computes as in training, and nothing of it moves.

    Batch norms use the statistics of the batch, without taking them into their running ones: at an
    initialisation these say nothing yet.

    Args:
        dropout: Draw it, as in training.
    """
    modes = {module: module.training for module in model.modules()}
    norms = [
        module
        for module in modes
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
    ]
    model.train()
    for module in modes:
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.train(dropout)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        for module, mode in modes.items():
            module.training = mode


def places(scores: Sequence[Float[Tensor, "..."]]) -> list[Int[Tensor, "..."]]:
    """Place of every score among all of them together: 1 for the highest.

    Args:
        scores: Of several layers; of equal ones the earlier layer and the lower index lead, so
            that exactly k scores have one of the first k places.

    Example:
        >>> places([torch.tensor([0.5, 0.9]), torch.tensor([[0.7, 0.5]])])
        [tensor([3, 1], dtype=torch.int32), tensor([[2, 4]], dtype=torch.int32)]
    """
    flat = torch.cat([score.flatten() for score in scores])
    order = flat.argsort(descending=True, stable=True)
    place = torch.empty_like(order, dtype=torch.int32)
    place[order] = torch.arange(1, len(flat) + 1, dtype=torch.int32, device=flat.device)
    parts = torch.split(place, [score.numel() for score in scores])
    return [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]


def overlap(masks: Sequence[Bool[Tensor, "..."]]) -> tuple[int, int]:
    """How many weights all of the tasks keep, and how many any keeps; none where there is one."""
    if len(masks) < 2:
        return 0, 0
    stacked = torch.stack([*masks])
    return int(stacked.all(dim=0).sum()), int(stacked.any(dim=0).sum())


def agreement(by_all: int, by_any: int) -> float:
    """Share of the weights kept by any task that all tasks keep; NaN where nobody keeps one."""
    return by_all / by_any if by_any else math.nan
