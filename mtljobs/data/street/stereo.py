"""What a pair of cameras side by side measures: disparity, where both see the same point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.draws import Draw
from mtljobs.data.rendering.sensor import blots
from mtljobs.data.street.render import FOCAL

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

BASELINE_M = 0.22
"""Metres between the cameras, as in Cityscapes."""

UNIT = 1 / 8
"""One unit of disparity in widths of the image: 256 pixels of Cityscapes' 2048."""

RANGE = 0.5
"""Largest disparity that the matching looks for: 128 pixels of Cityscapes' 2048."""


def disparity_of(depth: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Disparity at a depth in metres: baseline * focal length / depth, in `UNIT`.

    Example:
        >>> disparity_of(np.array([[4.84]])).round(6)  # 4.84 m: 102.4 pixels of 2048
        array([[0.4]])
    """
    return np.asarray(BASELINE_M * FOCAL / UNIT / depth)


def unmatched(
    disparity: Float[np.ndarray, "row column"],
    draw: Draw,
    *,
    missing: Float[np.ndarray, "row column"],
) -> Bool[np.ndarray, "row column"]:
    """Pixels that get no disparity.

    Those that the right camera does not see; those too near; materials that mirror or repeat; a
    few blots anywhere.

    Args:
        missing: Probability that a pixel's material cannot be matched.
    """
    blotted = blots(disparity.shape, draw) > 0.93
    unlucky = draw.random(disparity.shape) < missing
    return np.asarray(unseen(disparity) | (disparity > RANGE) | blotted | unlucky)


def unseen(disparity: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """Pixels whose points lie outside the right image, or there behind something nearer.

    Example:
        >>> step = np.where(np.arange(16) < 8, 0.0, 1.0)  # the right half nearer by two pixels
        >>> np.flatnonzero(unseen(step[None]))
        array([6, 7])
    """
    columns = disparity.shape[1]
    # Where the points lie in the right image: in the same order, unless one hides another.
    place = np.arange(columns) - disparity * (UNIT * columns)
    leftmost = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(disparity.shape, dtype=bool)
    hidden[:, :-1] = leftmost[:, 1:] <= place[:, :-1]
    return np.asarray(hidden | (place < -0.5))
