"""What is taken away of an image, in which order, and what stands in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int, Int32, Integer

NEVER = np.iinfo(np.int32).max
"""Rank of a pixel that stays."""

Fill = Literal["drifting", "clean", "channels", "black", "white"]
"""What takes the place of a part; see `part_fills`."""


@dataclass(frozen=True)
class Removal:
    """How an image disappears part by part, once for every group.

    Attributes:
        image: As the network saw it.
        ranks: How many parts go before the one that a pixel belongs to.
        fills: What the part of each rank is replaced with: one value, or one per channel.
        order: The part that each step takes away.
        part_scores: Mean saliency of each part.
    """

    image: Float[Tensor, "channel row column"]
    ranks: Int32[Tensor, "group row column"]
    fills: Float[Tensor, "group step filled_channel"]
    order: Int[np.ndarray, "group step"]
    part_scores: Float64[np.ndarray, "group segment"]

    @classmethod
    def plan(
        cls,
        image: Float[Tensor, "channel row column"],
        *,
        ranks: Int[np.ndarray, "group row column"],
        fills: Float64[np.ndarray, "group step filled_channel"],
        order: Int[np.ndarray, "group step"],
        part_scores: Float64[np.ndarray, "group segment"],
    ) -> Removal:
        """The removal with ranks and fills on the image's device, fills in its precision."""
        return cls(
            image=image,
            ranks=torch.as_tensor(ranks.astype(np.int32, copy=False), device=image.device),
            fills=torch.tensor(fills, dtype=image.dtype, device=image.device),
            order=order,
            part_scores=part_scores,
        )

    @property
    def steps(self) -> int:
        """Number of parts that go, L."""
        return len(self.order[0])

    def images(
        self, groups: Int[Tensor, "item"], steps: Int[Tensor, "item"]
    ) -> Float[Tensor, "item channel row column"]:
        """The image without the first `steps` parts of each item's group."""
        ranks = self.ranks[groups]
        last = ranks.clamp(max=self.steps - 1)
        fills = self.fills[groups[:, None, None], last].movedim(-1, 1)
        removed = ranks < steps[:, None, None]
        return torch.where(removed.unsqueeze(1), fills, self.image)


def by_step(part_scores: Float64[np.ndarray, "group step"]) -> Int[np.ndarray, "group step"]:
    """The order of parts that have no numbers of their own: each is called by its step."""
    return np.broadcast_to(np.arange(part_scores.shape[1]), part_scores.shape)


def segment_means(
    maps: Float[np.ndarray, "group row column"], segments: Integer[np.ndarray, "row column"]
) -> Float64[np.ndarray, "group segment"]:
    """Mean of each map over each superpixel.

    Raises:
        ValueError: The superpixels are not numbered 0 to L - 1 without gaps.

    Example:
        >>> segment_means(np.array([[[1.0, 2.0, 6.0]]]), np.array([[1, 0, 0]])).tolist()
        [[4.0, 1.0]]
    """
    labels = segments.ravel()
    pixels = np.bincount(labels)
    if not pixels.all():
        raise ValueError(
            f"Superpixels are numbered from 0 without gaps; received labels up to {labels.max()} "
            f"without {np.flatnonzero(pixels == 0).tolist()}. Number them anew, for instance "
            "with np.unique(segments, return_inverse=True)."
        )
    sums = [np.bincount(labels, weights=values.ravel()) for values in maps]
    return np.stack(sums) / pixels


def rounded_means(
    maps: Float[np.ndarray, "group row column"], segments: Integer[np.ndarray, "row column"]
) -> Float[np.ndarray, "group segment"]:
    """Mean of each map over each superpixel in the map's own precision, and as slow as numpy's.

    Their rounding settles which of equally salient superpixels Quantus takes first.
    """
    labels = range(segments.max() + 1)
    return np.array([[one[segments == label].mean() for label in labels] for one in maps])


def drifting_greys(
    image: Float[np.ndarray, "channel row column"],
    *,
    segments: Integer[np.ndarray, "row column"],
    order: Int[np.ndarray, "group step"],
) -> Float64[np.ndarray, "group step"]:
    """The grey that each step fills in: the mean of the image with all earlier greys in place.

    Example:
        >>> image, segments = np.array([[[0.0, 2.0, 4.0]]]), np.array([[0, 1, 2]])
        >>> drifting_greys(image, segments=segments, order=np.array([[2, 0, 1]])).tolist()[0][:2]
        [2.0, 1.3333333333333333]
    """
    labels = segments.ravel()
    values = np.bincount(labels) * image.shape[0]
    sums = np.bincount(labels, weights=image.sum(axis=0, dtype=np.float64).ravel())
    total = np.full(len(order), sums.sum())
    greys = np.empty(order.shape)
    for step, segment in enumerate(order.T):
        greys[:, step] = total / image.size
        total += values[segment] * greys[:, step] - sums[segment]
    return greys


def part_fills(
    image: Float[np.ndarray, "channel row column"],
    fill: Fill,
    *,
    segments: Integer[np.ndarray, "row column"],
    order: Int[np.ndarray, "group step"],
) -> Float64[np.ndarray, "group step filled_channel"]:
    """What each part is replaced with when it goes: one value, or one per channel.

    Args:
        fill: "drifting": the mean over channels and pixels of the image as it is at that step;
            "clean": that mean of the clean image; "channels": the clean image's mean per channel;
            "black", "white": its lowest and highest value in any channel.
        segments: The part of each pixel.
        order: The part that each step takes away.

    Example:
        >>> image, segments = np.array([[[0.0, 2.0]], [[3.0, 7.0]]]), np.array([[0, 1]])
        >>> for fill in ("clean", "channels", "black", "white"):
        ...     part_fills(image, fill, segments=segments, order=np.array([[1]])).tolist()
        [[[3.0]]]
        [[[1.0, 5.0]]]
        [[[0.0]]]
        [[[7.0]]]
    """
    match fill:
        case "drifting":
            return drifting_greys(image, segments=segments, order=order)[..., None]
        case "black":
            values = image.min(keepdims=True)
        case "white":
            values = image.max(keepdims=True)
        case "clean":
            values = image.mean(keepdims=True, dtype=np.float64)
        case "channels":
            values = image.mean(axis=(1, 2), dtype=np.float64)
    return np.broadcast_to(values.ravel().astype(np.float64), (*order.shape, values.size))
