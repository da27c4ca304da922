"""What a real depth sensor leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.draws import Draw
from mtljobs.data.rendering.picture import Picture
from mtljobs.data.rendering.sensor import blots

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

NEAR_M, FAR_M = 0.5, 8.0
"""Range of the depth sensor in metres."""


def depth_holes(
    picture: Picture, draw: Draw, *, missing: Float[np.ndarray, "row column"]
) -> Bool[np.ndarray, "row column"]:
    """Pixels where a structured-light sensor returns nothing.

    Beyond its range, on materials that swallow or pass its light, on faces seen at a grazing
    angle, beside depth edges where its pattern is hidden, and in a few blots anywhere.

    Args:
        missing: Probability that a pixel's material returns nothing.
    """
    chance = draw.random(picture.depth.shape)
    out_of_range = (picture.depth < NEAR_M) | (picture.depth > FAR_M)
    hidden = _hidden(picture.depth) & (chance < 0.7)
    grazing = chance > 8 * picture.cosine
    blotted = blots(picture.depth.shape, draw) > 0.92
    return out_of_range | hidden | grazing | blotted | (chance < missing)


def _hidden(depth: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """Pixels just left of something nearer: the projector stands on the camera's right."""
    band = max(1, depth.shape[1] // 100)
    hidden = np.zeros(depth.shape, dtype=bool)
    hidden[:, :-band] = depth[:, band:] < 0.93 * depth[:, :-band]
    return hidden
