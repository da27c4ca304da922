from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest
import torch
from torch import Tensor, nn

from mtljobs.contracts import Step, Weighting

TASKS = ("segmentation", "depth", "normals")
NO_MODEL = nn.Identity()

torch.set_num_threads(1)


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """What a hook is told of an iteration."""

    def make(
        *,
        epoch: int = 0,
        learning_rate: float = 1e-2,
        losses: Callable[[], Iterable[Mapping[str, Tensor]]] = list,
    ) -> Step:
        return Step(iteration=0, epoch=epoch, learning_rate=learning_rate, losses=losses)

    return make


@pytest.fixture
def named() -> Callable[[Tensor], dict[str, Tensor]]:
    """Losses by task, from a vector of them; given in another order than the tasks'."""
    return lambda values: dict(reversed(list(zip(TASKS, values, strict=True))))


@pytest.fixture
def run_steps(make_step, named) -> Callable[..., list[Tensor]]:
    """Goes through training steps with given losses, as the loop does.

    Each step is (losses before, losses after); the gradients of the losses are what it returns.
    """

    def run(
        weighting: Weighting, steps: Iterable[tuple[Tensor, Tensor]], *, epochs: Iterable[int] = ()
    ) -> list[Tensor]:
        numbers = iter(epochs)
        gradients = []
        for before, after in steps:
            values = before.clone().requires_grad_()
            step = make_step(
                epoch=next(numbers, 0), losses=lambda after=after: iter([named(after)])
            )
            weighting.combine(named(values), step).backward()
            weighting.after_backward(NO_MODEL, step)
            weighting.after_step(NO_MODEL, step)
            gradients.append(values.grad)
        return gradients

    return run


@pytest.fixture
def random_steps() -> list[tuple[Tensor, Tensor]]:
    """50 steps of three losses of very different size, some of which rise."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([1.0, 0.02, 30.0])
    draws = torch.rand(50, 2, 3, generator=generator) + 0.05
    return [(before * size, after * size) for before, after in draws]
