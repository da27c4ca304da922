"""Gradients of the evidence for every group: what the saliency methods that use them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mtljobs.errors import GridError

if TYPE_CHECKING:
    from jaxtyping import Float


def require_evaluation(model: nn.Module) -> None:
    """Refuse a network in training mode, or a part of one.

    Raises:
        ValueError: A module is in training mode.
    """
    if any(module.training for module in model.modules()):
        raise ValueError(
            "Explanations need the network in evaluation mode, since batch norm in training "
            "mode mixes the images of a batch; received training mode. Call model.eval()."
        )


@contextmanager
def without_parameter_gradients(model: nn.Module) -> Iterator[None]:
    """While it lasts gradients are recorded, but only of what depends on a tensor that asks.

    A parameter that asks for gradients does so again when the context ends.

    Raises:
        ValueError: The model is in training mode.
    """
    require_evaluation(model)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def maps_from_gradients(
    scalars: Mapping[str, Float[Tensor, "image group"]],
    origin: Float[Tensor, "image channel row column"],
    to_map: Callable[[Tensor], Tensor],
    *,
    called: str,
) -> dict[str, Float[Tensor, "image group row column"]]:
    """The map of each group of each task, by one backward pass per group for the whole batch.

    Args:
        scalars: Evidence per task.
        origin: What the gradients are of, and where the backward passes end.
        to_map: Gradients of `origin` -> map `image row column`.
        called: What a message calls `origin`.

    Raises:
        GridError: A task's evidence does not depend on `origin`.
    """
    left = sum(values.shape[1] for values in scalars.values())
    maps = {}
    for task, values in scalars.items():
        found = []
        for value in values.unbind(dim=1):
            left -= 1
            gradients = _gradients(value, origin, keep_graph=left > 0)
            if gradients is None:
                raise GridError(
                    f"{called} has no influence on the task {task!r}, so that there is no map of "
                    "it. Explain a layer that all tasks share, and compute the evidence from the "
                    "images that are given."
                )
            found.append(to_map(gradients))
        maps[task] = torch.stack(found, dim=1)
    return maps


def _gradients(value: Float[Tensor, "image"], origin: Tensor, *, keep_graph: bool) -> Tensor | None:
    if not value.requires_grad:
        return None
    # The images of a batch do not meet in evaluation mode: the sum's gradient holds each image's.
    (gradients,) = torch.autograd.grad(
        value.sum(), origin, retain_graph=keep_graph, allow_unused=True
    )
    return gradients
