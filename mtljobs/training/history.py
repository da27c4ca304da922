"""What a training says of itself, and that it stops when its losses are not finite any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtljobs.errors import DivergedError

LOG_LINES = 200
"""About how many windows a training's history has."""

Entry = dict[str, float]
"""`iteration` and the values that were found there, under names like `train/depth/loss`."""


@dataclass(frozen=True)
class _Landing:
    """The losses of one step, on their way from the device."""

    iteration: int
    learning_rate: float
    losses: Float[Tensor, "task"]
    arrived: torch.cuda.Event | None


class History:
    """Mean losses over windows of a training, and whatever else is found on the way.

    Reading a loss from a GPU waits for the GPU, which then has nothing to do until the next step
    is issued. So a step's losses are read when the next step has been issued; `settle` reads them
    at once. On a CPU every step is read at once.

    Args:
        tasks: In the order of the losses.
        iterations: Length of the training.

    Attributes:
        entries: In the order in which they were made.
        told: Given each entry as it is made.
    """

    def __init__(self, *, tasks: Sequence[str], iterations: int) -> None:
        self.entries: list[Entry] = []
        self._tasks = tuple(tasks)
        self._iterations = iterations
        self._window = max(1, iterations // LOG_LINES)
        self._sums = [0.0] * len(self._tasks)
        self._landing: _Landing | None = None
        self.told: Callable[[Entry], None] = lambda entry: None

    def note(self, losses: Float[Tensor, "task"], *, iteration: int, learning_rate: float) -> None:
        """Take in the losses of a step.

        Args:
            iteration: Count of steps with this one.

        Raises:
            DivergedError: A loss of this step, or on a GPU of the one before, is not finite.
        """
        arrived = None
        landed = losses.detach().to("cpu", non_blocking=True)
        if losses.is_cuda:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self.settle()
        self._landing = _Landing(iteration, learning_rate, landed, arrived)
        if arrived is None:
            self.settle()

    def settle(self) -> None:
        """Wait for the losses that are still on their way.

        Raises:
            DivergedError: One of them is not finite.
        """
        if self._landing is None:
            return
        step, self._landing = self._landing, None
        if step.arrived is not None:
            step.arrived.synchronize()
        losses = step.losses.tolist()
        require_finite(dict(zip(self._tasks, losses, strict=True)), "loss", step.iteration)
        self._sums = [total + loss for total, loss in zip(self._sums, losses, strict=True)]
        if step.iteration % self._window == 0 or step.iteration == self._iterations:
            steps = step.iteration % self._window or self._window
            means = [total / steps for total in self._sums]
            names = (f"train/{task}/loss" for task in self._tasks)
            self._sums = [0.0] * len(self._tasks)
            self.add(
                {
                    "iteration": step.iteration,
                    "learning_rate": step.learning_rate,
                    **dict(zip(names, means, strict=True)),
                }
            )

    def add(self, entry: Entry) -> None:
        """Take in an entry, and tell it."""
        self.entries.append(entry)
        self.told(entry)

    def state_dict(self) -> dict[str, Any]:
        """All entries, and the window that is open; call `settle` before."""
        return {"entries": self.entries, "sums": self._sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self.entries = list(state["entries"])
        self._sums = list(state["sums"])


def require_finite(losses: Mapping[str, float], what: str, iteration: int) -> None:
    """Refuse losses that lead nowhere.

    Args:
        what: Kind of loss, for the message.

    Raises:
        DivergedError: Names the tasks, and what to do.
    """
    odd = [f"of {task} is {loss}" for task, loss in losses.items() if not math.isfinite(loss)]
    if odd:
        raise diverged(f"the {what} {', '.join(odd)} at iteration {iteration}")


def diverged(finding: str) -> DivergedError:
    """The error that says what became of a training, and what to do about it."""
    return DivergedError(
        f"the training diverged: {finding}. The checkpoint from before it is kept. Lower "
        "training.learning_rate, or set training.autocast to 'off' where it is not, and submit "
        "to another run."
    )
