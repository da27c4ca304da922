"""The number format and memory layout that a network is trained in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.training.history import diverged

LOWEST_SCALE = 2.0**-24
"""The smallest float16 above 0. A scale begins at 2^16, and each overflow halves it."""


class Precision:
    """Forward passes in a narrower format, with everything else in float32.

    Args:
        autocast: "off", "bfloat16" or "float16".
        channels_last: Channels innermost in memory; the model's weights are laid out here.
        model: On the device where it is trained.

    Source: Micikevicius et al., Mixed Precision Training (arXiv:1710.03740), as torch's autocast
        and GradScaler do it. Departure: losses are computed in float32 outside of autocast, since
        a sum over the pixels of a batch overflows float16.
    """

    def __init__(self, *, autocast: str, channels_last: bool, model: nn.Module) -> None:
        self._device = next(model.parameters()).device
        self._dtype = None if autocast == "off" else getattr(torch, autocast)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._model = model.to(memory_format=self._layout)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=autocast == "float16")

    def __call__(
        self, images: Float[Tensor, "image channel row column"], tasks: Sequence[str]
    ) -> dict[str, Float[Tensor, "image channel row column"]]:
        """The model's predictions, in float32."""
        images = images.contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None):
            predictions = self._model(images, tasks)
        return {task: prediction.float() for task, prediction in predictions.items()}

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled where the format asks for it."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Give the gradients their true size; once a step, before anybody looks at them."""
        self._scaler.unscale_(optimiser)

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Move the optimiser, unless a gradient overflowed the format."""
        self._scaler.step(optimiser)
        self._scaler.update()

    def require_steps(self) -> None:
        """Refuse to go on, or to end, where no step is taken any more.

        Raises:
            DivergedError: Gradients overflow float16 at a scale at which others would vanish.
        """
        scale = self._scaler.get_scale()
        if scale < LOWEST_SCALE:
            raise diverged(
                f"step after step is left out, as gradients overflow float16 even at a loss scale "
                f"of {scale:.1g}"
            )

    def state_dict(self) -> dict[str, Any]:
        """The loss scale; empty where there is none."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave."""
        self._scaler.load_state_dict(dict(state))
