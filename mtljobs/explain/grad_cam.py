"""Grad-CAM: where in a layer the evidence for a group of a dense prediction lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mtljobs.explain.gradients import maps_from_gradients, without_parameter_gradients
from mtljobs.explain.layers import run_from_layer

if TYPE_CHECKING:
    from jaxtyping import Float


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
        to the layer and no further; nothing before the layer is recorded. What the other images
        of a batch are changes no bit of a map; how many they are may change its rounding.

        Raises:
            GridError: The layer is no module of the model, runs more or less than once, has no
                output `image channel row column`, or does not lead to a task.
            ValueError: The model is in training mode.
        """
        with without_parameter_gradients(model):
            scalars, activations = run_from_layer(
                model, self._layer, lambda: evidence(images.detach())
            )
            return maps_from_gradients(
                scalars,
                activations,
                lambda gradients: grad_cam(activations.detach(), gradients),
                called=f"The layer {self._layer!r}",
            )


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
        `maps.upsample`.

    Example:
        >>> import torch
        >>> activations = torch.tensor([[[[2.0, 0.0]], [[1.0, 4.0]]]])  # 2 channels of 1 x 2
        >>> gradients = torch.tensor([[[[1.0, 3.0]], [[-1.0, -1.0]]]])  # on average 2 and -1
        >>> grad_cam(activations, gradients).tolist()
        [[[3.0, 0.0]]]
    """
    weights = gradients.mean(dim=(-2, -1), keepdim=True)
    return (weights * activations).sum(dim=1).relu()
