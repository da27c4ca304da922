"""Input gradient: how strongly the evidence for a group answers to each pixel of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from mtljobs.explain.gradients import maps_from_gradients, without_parameter_gradients

if TYPE_CHECKING:
    from jaxtyping import Float


class InputGradient:
    """|d evidence / d image| for every group of every task, from one forward pass.

    Args:
        reduce: Of a pixel's channels the largest counts ("max"), or their sum ("sum").

    Source: Simonyan et al., Deep Inside Convolutional Networks (arXiv:1312.6034), section 3.1: the
        largest. Departure: the sum can be chosen, as Quantus takes it of captum's `Saliency`.
    """

    def __init__(self, *, reduce: Literal["max", "sum"]) -> None:
        self._reduce = reduce

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "image channel row column"],
        *,
        evidence: Callable[[Tensor], Mapping[str, Float[Tensor, "image group"]]],
    ) -> dict[str, Float[Tensor, "image group row column"]]:
        """One map per image and group of each task, at the images' resolution.

        One forward pass, and one backward pass per group for the whole batch, through the whole
        network: its activations are held for the images of one call.

        Returns:
            Maps >= 0 in units of the evidence per unit of a pixel, not scaled. An image whose
            gradients are not finite gets maps that are not finite; the others are untouched.

        Raises:
            GridError: The evidence of a task does not depend on the images.
            ValueError: The model is in training mode.
        """
        pixels = images.detach().requires_grad_()
        with without_parameter_gradients(model):
            return maps_from_gradients(evidence(pixels), pixels, self._strength, called="The image")

    def _strength(
        self, gradients: Float[Tensor, "image channel row column"]
    ) -> Float[Tensor, "image row column"]:
        strength = gradients.abs()
        return strength.amax(dim=1) if self._reduce == "max" else strength.sum(dim=1)
