"""Depth: a distance per pixel, explained one range of distances at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import DataError

SMALLEST = 1e-6
"""Clean depth, in the data set's unit, below which relative changes are taken of this instead."""


class Depth:
    """Depth in the data set's unit; a pixel is valid where its target is above 0.

    Args:
        bins: Groups: equal parts of depth / `info.depth_scale` in [0, 1].

    Source: Loss and metrics of Liu et al. (arXiv:1803.10704). Departure: errors are pooled over
        all pixels; MTAN's code averages batches.
    """

    name = "depth"
    channels = 1

    def __init__(self, *, bins: int, info: DatasetInfo) -> None:
        self._bins = bins
        self._scale = info.depth_scale

    def loss(
        self,
        prediction: Float[Tensor, "image 1 row column"],
        target: Float[Tensor, "image 1 row column"],
    ) -> Float[Tensor, ""]:
        """Absolute error, averaged over the batch's valid pixels."""
        valid = target > 0
        return ((prediction - target).abs() * valid).sum() / valid.sum().clamp(min=1)

    def meter(self) -> DepthMeter:
        """A new, empty meter."""
        return DepthMeter()

    def constant(self, targets: Iterable[Tensor]) -> Float[Tensor, "1"]:
        """The median of all valid depths, which no other constant beats in absolute error.

        Raises:
            DataError: No pixel is valid.
        """
        depths = np.concatenate([target[target > 0].cpu().numpy() for target in targets])
        if not depths.size:
            raise DataError(
                "No pixel of the training split has a depth above 0, so there is no median; "
                "check the depth files and their scale in the data set's description."
            )
        return torch.tensor([np.median(depths)], dtype=torch.float32)

    def group_masks(
        self, prediction: Float[Tensor, "image 1 row column"]
    ) -> Bool[Tensor, "image group row column"]:
        """The pixels in each bin; depths out of range belong to the first or the last one."""
        scaled = (prediction / self._scale).clamp(0, 1) * self._bins
        bins = torch.arange(self._bins, device=prediction.device)
        return scaled.floor().clamp(max=self._bins - 1) == bins[:, None, None]

    def evidence(
        self,
        prediction: Float[Tensor, "image 1 row column"],
        masks: Bool[Tensor, "image group row column"],
    ) -> Float[Tensor, "image group"]:
        """Sum of the predicted depth over a bin's pixels."""
        return (prediction * masks).sum(dim=(-2, -1))

    def score(
        self,
        prediction: Float[Tensor, "item 1 row column"],
        *,
        clean: Float[Tensor, "item 1 row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        """1 - mean relative change over the bin's pixels, but at least 0."""
        change = (prediction - clean).abs() / clean.abs().clamp(min=SMALLEST)
        mean_change = (change[:, 0] * mask).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))
        return (1 - mean_change).clamp(min=0)


class DepthMeter:
    """Errors over all valid pixels shown, summed in double precision."""

    def __init__(self) -> None:
        self._pixels = 0
        self._abs_sum = 0.0
        self._rel_sum = 0.0

    def update(
        self,
        prediction: Float[Tensor, "image 1 row column"],
        target: Float[Tensor, "image 1 row column"],
    ) -> None:
        """Take in a batch's valid pixels."""
        valid = target > 0
        depth = target[valid].double()
        error = (prediction[valid].double() - depth).abs()
        self._pixels += error.numel()
        self._abs_sum += float(error.sum())
        self._rel_sum += float((error / depth).sum())

    def compute(self) -> Mapping[str, float]:
        """Mean absolute error in the depth's unit, and mean relative error as a fraction."""
        if not self._pixels:
            return {"abs_error": float("nan"), "rel_error": float("nan")}
        return {
            "abs_error": self._abs_sum / self._pixels,
            "rel_error": self._rel_sum / self._pixels,
        }

    def arrays(self) -> Mapping[str, np.ndarray]:
        """None."""
        return {}
