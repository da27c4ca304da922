"""Targets and predictions meet at one resolution, which need not be the images'."""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor


def resize_nearest(
    values: Shaped[Tensor, "*axes row column"], size: tuple[int, int]
) -> Shaped[Tensor, "*axes new_row new_column"]:
    """The values at another (rows, columns), each the copy of one old value; of any type.

    Labels keep their meaning, and invalid pixels mix with no valid ones.

    Source: torch's `interpolate(mode="nearest")`, computed in whole numbers: position i of n takes
        position floor(i * old / n). torch's own takes no integers.

    Example:
        >>> resize_nearest(torch.tensor([[1, 2, 3, 4]]), (2, 2)).tolist()
        [[1, 3], [1, 3]]
    """
    old = (values.shape[-2], values.shape[-1])
    if old == size:
        return values
    rows, columns = (
        torch.arange(new, device=values.device) * before // new
        for before, new in zip(old, size, strict=True)
    )
    return values[..., rows[:, None], columns]
