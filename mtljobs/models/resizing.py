"""Halves and doubles of feature maps: one way on every device, forward and backward."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def halve(
    features: Float[Tensor, "image channel row column"],
) -> Float[Tensor, "image channel half_row half_column"]:
    """The largest value of each 2 x 2 window, as max-pooling has it, without its position.

    torch's `max_pool2d` looks for the position all the same, and on a CPU takes ten times as long.
    Rows and columns are even.

    Example:
        >>> halve(torch.tensor([[[[0.0, 3.0, 1.0, 0.0], [2.0, 1.0, 5.0, 4.0]]]])).tolist()
        [[[[3.0, 5.0]]]]
    """
    rows = torch.maximum(features[..., ::2, :], features[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def enlarge(
    features: Float[Tensor, "image channel row column"],
) -> Float[Tensor, "image channel doubled_row doubled_column"]:
    """The features at twice their rows and columns, bilinear, corners on corners.

    torch's own backward adds up atomically on a GPU, in any order, and so refuses to run under
    `use_deterministic_algorithms`; that of a matrix product is another product. Where no gradient
    is asked for and the channels of a pixel lie together, torch's own computes: on a CPU nine times
    as fast, and the layout stays.

    Source: torch's `interpolate(scale_factor=2, mode="bilinear", align_corners=True)`, whose
        weights these are. `benchmarks/test_resizing.py` compares the two.

    Example:
        >>> enlarge(torch.tensor([[[[0.0, 3.0]]]])).tolist()
        [[[[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]]]
    """
    if not features.requires_grad and features.is_contiguous(memory_format=torch.channels_last):
        return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
    rows, columns = (_doubling(n, features) for n in features.shape[-2:])
    return rows.mT @ (features @ columns)


def _doubling(n: int, like: Tensor) -> Float[Tensor, "n doubled"]:
    """What n values are multiplied with: what torch makes of each of n unit vectors."""
    units = torch.eye(n, dtype=like.dtype, device=like.device)
    return functional.interpolate(units[None], scale_factor=2, mode="linear", align_corners=True)[0]
