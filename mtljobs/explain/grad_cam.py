"""Grad-CAM: where in a layer the evidence for a group of a dense prediction lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mtljobs.errors import GridError


class GradCAM:
    """Maps of one layer for every group of every task, from one forward pass.

    Args:
        layer: Name of a module of the network, such as "conv_block_dec.0".
    """

    def __init__(self, *, layer: str) -> None:
        self._layer = layer

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "image channel row column"],
        *,
        evidence: Callable[[Tensor], Mapping[str, Float[Tensor, "image group"]]],
    ) -> dict[str, Float[Tensor, "image group cam_row cam_column"]]:
        """One map per image and group of each task, at the layer's resolution.

        One forward pass, and one backward pass per group for the whole batch, from the evidence
        to the layer and no further. Nothing before the layer is recorded if the model's parameters
        have `requires_grad` off.

        Raises:
            GridError: The layer is no module of the model, runs more or less than once, has no
                output `image channel row column`, or does not lead to a task.
            ValueError: The model is in training mode.
        """
        if any(module.training for module in model.modules()):
            raise ValueError(
                "Explanations need the network in evaluation mode, since batch norm in training "
                "mode mixes the images of a batch; received training mode. Call model.eval()."
            )
        with torch.enable_grad():
            with self._outputs(model) as outputs:
                scalars = evidence(images)
            return self._explain(scalars, self._only(outputs))

    @contextmanager
    def _outputs(self, model: nn.Module) -> Iterator[list[Tensor]]:
        """The layer's outputs while the context lasts, each the start of a new graph."""
        outputs: list[Tensor] = []

        def begin_graph(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim != 4:
                raise GridError(
                    f"explain.saliency.layer {self._layer!r} puts out {_kind(output)}; a map "
                    "needs a layer whose output is one tensor, image channel row column."
                )
            outputs.append(output.detach().requires_grad_())
            return outputs[-1]

        handle = self._module(model).register_forward_hook(begin_graph)
        try:
            yield outputs
        finally:
            handle.remove()

    def _only(self, outputs: list[Tensor]) -> Tensor:
        if len(outputs) != 1:
            raise GridError(
                f"explain.saliency.layer {self._layer!r} ran {len(outputs)} times in one forward "
                "pass; a map needs a layer that runs once, such as 'last_shared'."
            )
        return outputs[0]

    def _module(self, model: nn.Module) -> nn.Module:
        modules: dict[str, nn.Module] = dict(model.named_modules())
        if self._layer not in modules:
            near = get_close_matches(self._layer, modules, n=3, cutoff=0.4)
            raise GridError(
                f"explain.saliency.layer {self._layer!r} is no module of the network; "
                f"near it: {', '.join(near) or 'none'}."
            )
        return modules[self._layer]

    def _explain(
        self, scalars: Mapping[str, Float[Tensor, "image group"]], activations: Tensor
    ) -> dict[str, Float[Tensor, "image group cam_row cam_column"]]:
        left = sum(values.shape[1] for values in scalars.values())
        maps = {}
        for task, values in scalars.items():
            found = []
            for value in values.unbind(dim=1):
                left -= 1
                gradients = self._gradients(value, activations, task=task, keep_graph=left > 0)
                found.append(grad_cam(activations.detach(), gradients))
            maps[task] = torch.stack(found, dim=1)
        return maps

    def _gradients(
        self, value: Float[Tensor, "image"], activations: Tensor, *, task: str, keep_graph: bool
    ) -> Tensor:
        gradients = None
        if value.requires_grad:
            # The images of a batch do not meet in evaluation mode: the sum's gradient holds each
            # image's own.
            (gradients,) = torch.autograd.grad(
                value.sum(), activations, retain_graph=keep_graph, allow_unused=True
            )
        if gradients is None:
            raise GridError(
                f"explain.saliency.layer {self._layer!r} has no influence on the task {task!r}; "
                "choose a layer that all tasks share, such as 'last_shared'."
            )
        return gradients


def _kind(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"


def grad_cam(
    activations: Float[Tensor, "image channel row column"],
    gradients: Float[Tensor, "image channel row column"],
) -> Float[Tensor, "image row column"]:
    """What speaks for a score at each position of a layer.

    A channel weighs as much as its gradient does on average over the positions; the channels are
    added with these weights, and what speaks against the score counts as nothing.

    Args:
        activations: Output of the explained layer.
        gradients: Of each image's own score with respect to its activations.

    Returns:
        Map >= 0 in units of the score, not scaled, so that images and networks compare. An image
        whose gradients are not finite gets a map that is not finite; the others are untouched.

    Source:
        Selvaraju et al. (arXiv:1610.02391), equations 1 and 2. Departure: not resized here, see
        `upsample`.

    Example:
        >>> activations = torch.tensor([[[[2.0, 0.0]], [[1.0, 4.0]]]])  # 2 channels of 1 x 2
        >>> gradients = torch.tensor([[[[1.0, 3.0]], [[-1.0, -1.0]]]])  # on average 2 and -1
        >>> grad_cam(activations, gradients).tolist()
        [[[3.0, 0.0]]]
    """
    weights = gradients.mean(dim=(-2, -1), keepdim=True)
    return (weights * activations).sum(dim=1).relu()


def upsample(
    cams: Float[Tensor, "image group cam_row cam_column"], size: tuple[int, int]
) -> Float[Tensor, "image group row column"]:
    """Maps at the image's (rows, columns): bilinear, pixels as areas (`align_corners=False`)."""
    return functional.interpolate(cams, size=size, mode="bilinear", align_corners=False)


def divide_by_max(
    maps: Float[Tensor, "image group row column"],
) -> tuple[Float[Tensor, "image group row column"], Float[Tensor, "image group"]]:
    """Maps with their maxima at 1, and what each was divided by; an all-zero map stays as it is.

    Source: Vinogradova et al. (arXiv:2002.11434), in the order of their code: the maximum is
        taken of the resized map.
    """
    peaks = maps.amax(dim=(-2, -1))
    divisors = torch.where(peaks > 0, peaks, torch.ones_like(peaks))
    return maps / divisors[..., None, None], peaks
