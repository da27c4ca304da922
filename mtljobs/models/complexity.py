"""How large a network is: what stays of it after a cut is compared with what there was."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mtljobs.contracts import WEIGHT_MASK


@dataclass(frozen=True)
class Complexity:
    """Size and cost of a network.

    Attributes:
        parameters: Weights and biases of all layers, less those that masks have removed.
        filters: Output channels, added over all convolutions, heads included.
        macs: Multiply-accumulates of the convolutions for one image, those with masked weights
            too: a zero is multiplied like any other number.
    """

    parameters: int
    filters: int
    macs: int


def count(model: nn.Module, *, size: tuple[int, int], tasks: Sequence[str]) -> Complexity:
    """Size of `model`, and its cost for one image of (rows, columns) `size` and these tasks."""
    dense = sum(parameter.numel() for parameter in model.parameters())
    masked = sum(map(_masked, _convolutions(model).values()))
    return Complexity(
        parameters=dense - masked,
        filters=sum(layer_filters(model).values()),
        macs=_macs(model, size, tasks),
    )


def layer_weights(model: nn.Module) -> dict[str, int]:
    """Weights of every convolution that no mask has removed, in the order of the module."""
    return {
        name: conv.weight.numel() - _masked(conv) for name, conv in _convolutions(model).items()
    }


def layer_filters(model: nn.Module) -> dict[str, int]:
    """Output channels of every convolution, in the order of the module."""
    return {name: conv.out_channels for name, conv in _convolutions(model).items()}


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def _masked(convolution: nn.Conv2d) -> int:
    """Weights that a mask has removed."""
    mask = getattr(convolution, WEIGHT_MASK, None)
    return 0 if mask is None else int((~mask).sum())


def _macs(model: nn.Module, size: tuple[int, int], tasks: Sequence[str]) -> int:
    """Counted on a copy without storage, which computes shapes only.

    Of the convolutions alone, as published figures are: an enlargement counts as nothing, whether
    it is computed as such or as a matrix product.
    """
    shapes = deepcopy(model).to("meta").eval()
    image = torch.empty(1, 3, *size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(image, tasks)
    operations = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    return int(operations) // 2  # a multiply-accumulate is two operations
