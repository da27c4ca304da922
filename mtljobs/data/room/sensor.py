"""What real sensors make of a perfect measurement: noise, and pixels without a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.room.furniture import Draw
from mtljobs.data.room.render import Rendering
from mtljobs.data.room.surfaces import noise

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NEAR_M, FAR_M = 0.5, 8.0
"""Range of the depth sensor in metres."""


def develop(
    radiance: Float[np.ndarray, "channel row column"], draw: Draw
) -> Float[np.ndarray, "channel row column"]:
    """A photograph in [0, 1], in steps of 1/255: exposed, softened by the lens, noisy."""
    exposure = draw.uniform(0.75, 1.15)
    balance = draw.uniform(0.94, 1.06, size=(3, 1, 1))
    light = 1 - np.exp(-exposure * balance * radiance)
    grain = draw.standard_normal(light.shape) * draw.uniform(0.006, 0.02)
    photograph = np.clip(_soften(light) ** (1 / 2.2) + grain, 0.0, 1.0)
    return np.asarray(np.rint(photograph * 255) / 255, dtype=np.float32)


def _soften(
    light: Float[np.ndarray, "channel row column"],
) -> Float[np.ndarray, "channel row column"]:
    """Each pixel with an eighth of its neighbours' light, along rows and along columns."""
    padded = np.pad(light, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = 0.75 * padded[:, :, 1:-1] + 0.125 * (padded[:, :, :-2] + padded[:, :, 2:])
    return np.asarray(0.75 * across[:, 1:-1] + 0.125 * (across[:, :-2] + across[:, 2:]))


def depth_holes(
    rendering: Rendering, draw: Draw, *, missing: Float[np.ndarray, "row column"]
) -> Bool[np.ndarray, "row column"]:
    """Pixels where a structured-light sensor returns nothing.

    Beyond its range, on materials that swallow or pass its light, on faces seen at a grazing
    angle, beside depth edges where its pattern is hidden, and in a few blots anywhere.

    Args:
        missing: Probability that a pixel's material returns nothing.
    """
    chance = draw.random(rendering.depth.shape)
    out_of_range = (rendering.depth < NEAR_M) | (rendering.depth > FAR_M)
    hidden = _hidden(rendering.depth) & (chance < 0.7)
    grazing = chance > 8 * rendering.cosine
    blots = _blots(rendering.depth.shape, draw) > 0.92
    return out_of_range | hidden | grazing | blots | (chance < missing)


def _hidden(depth: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """Pixels just left of something nearer: the projector stands on the camera's right."""
    band = max(1, depth.shape[1] // 100)
    hidden = np.zeros(depth.shape, dtype=bool)
    hidden[:, :-band] = depth[:, band:] < 0.93 * depth[:, :-band]
    return hidden


def unlabelled(label: Int[np.ndarray, "row column"], draw: Draw) -> Bool[np.ndarray, "row column"]:
    """Pixels that people leave out when they draw labels: parts of the outlines."""
    outline = np.zeros(label.shape, dtype=bool)
    outline[:, :-1] |= label[:, :-1] != label[:, 1:]
    outline[:-1] |= label[:-1] != label[1:]
    return outline & (_blots(label.shape, draw) > 0.5)


def _blots(size: tuple[int, int], draw: Draw) -> Float[np.ndarray, "row column"]:
    """A smooth random field in [0, 1), alike at every resolution."""
    start = draw.uniform(0, 64, size=(2, 1, 1))
    row, column = np.mgrid[: size[0], : size[1]] * (16 / max(size)) + start
    return noise(row, column)
