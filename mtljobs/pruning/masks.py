"""The cut by masks: single weights are gone, exactly 0, while the network keeps its shape.

A masked convolution carries its mask, and how far the tasks agreed on it, as buffers. Both are
thus in every checkpoint and weights file, and need no class of ours to be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from mtljobs.contracts import MASK_AGREEMENT, WEIGHT_MASK, Step


def set_mask(
    convolution: nn.Conv2d,
    kept: Bool[Tensor, "out in row column"],
    *,
    agreement: float = math.nan,
) -> None:
    """Remove the weights of a convolution that are not kept.

    Args:
        convolution: Changed in place; a mask that it has is replaced.
        kept: As its weight.
        agreement: Share of the weights kept by any task that all tasks keep.
    """
    device = convolution.weight.device
    convolution.register_buffer(WEIGHT_MASK, kept.to(device))
    convolution.register_buffer(MASK_AGREEMENT, torch.tensor(agreement, device=device))
    with torch.no_grad():
        convolution.weight.masked_fill_(~convolution.get_buffer(WEIGHT_MASK), 0.0)


def prepare_masks(model: nn.Module, names: Iterable[str]) -> None:
    """Give a network the masks that a state dict has, so that the state can be loaded.

    Args:
        model: Changed in place; its new masks keep everything.
        names: Keys of the state dict. A mask of a layer that the model lacks is left out.
    """
    convolutions = all_convolutions(model)
    for name in names:
        layer, _, entry = name.rpartition(".")
        if entry == WEIGHT_MASK and layer in convolutions:
            set_mask(convolutions[layer], torch.ones_like(convolutions[layer].weight).bool())


def all_convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Every convolution, in the order of the module."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def masked_convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions that have a mask, in the order of the module."""
    return {
        name: convolution
        for name, convolution in all_convolutions(model).items()
        if hasattr(convolution, WEIGHT_MASK)
    }


def agreements(model: nn.Module) -> dict[str, float]:
    """How far the tasks agreed on the mask of every convolution; NaN where it has none."""
    return {
        name: float(getattr(convolution, MASK_AGREEMENT, math.nan))
        for name, convolution in all_convolutions(model).items()
    }


def owner(layer: str) -> str | None:
    """The one task that a layer belongs to; None where tasks share it.

    Example:
        >>> owner("branches.depth.head.output"), owner("conv_block_dec.0.0.conv")
        ('depth', None)
    """
    root, _, rest = layer.partition(".")
    return rest.partition(".")[0] if root == "branches" else None


class MaskKeeper:
    """Keeps the masked weights of a network exactly zero while it trains.

    Their gradients are zero too, so that they never enter an optimiser's moments: a moment would
    move the weight of a mask that is opened later.
    """

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Drop the gradients of masked weights."""
        for convolution in masked_convolutions(model).values():
            if convolution.weight.grad is not None:
                convolution.weight.grad.masked_fill_(~convolution.get_buffer(WEIGHT_MASK), 0.0)

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: Step) -> None:
        """Undo what weight decay, or moments from before a weight was masked, did to it."""
        for convolution in masked_convolutions(model).values():
            convolution.weight.masked_fill_(~convolution.get_buffer(WEIGHT_MASK), 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Empty: the masks are buffers of the network."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""
