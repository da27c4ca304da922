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

    Those that the right camera does not see, because they lie outside its image or behind
    something nearer; those too near; materials that mirror or repeat; a few blots anywhere.

    Args:
        missing: Probability that a pixel's material cannot be matched.
    """
    columns = disparity.shape[1]
    # Where each pixel's point lies in the right image; from left to right unless hidden.
    place = np.arange(columns) - disparity * (UNIT * columns)
    nearest = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(disparity.shape, dtype=bool)
    hidden[:, :-1] = nearest[:, 1:] <= place[:, :-1]
    blotted = blots(disparity.shape, draw) > 0.93
    unlucky = draw.random(disparity.shape) < missing
    outside = place < -0.5
    return np.asarray(hidden | outside | (disparity > RANGE) | blotted | unlucky)
