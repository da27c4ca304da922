"""What a camera and people with a brush make of a perfect picture: noise, missing labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.draws import Draw
from mtljobs.data.rendering.patterns import noise

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


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


def unlabelled(label: Int[np.ndarray, "row column"], draw: Draw) -> Bool[np.ndarray, "row column"]:
    """Pixels that people leave out when they draw labels: parts of the outlines."""
    outline = np.zeros(label.shape, dtype=bool)
    outline[:, :-1] |= label[:, :-1] != label[:, 1:]
    outline[:-1] |= label[:-1] != label[1:]
    return outline & (blots(label.shape, draw) > 0.5)


def blots(size: tuple[int, int], draw: Draw) -> Float[np.ndarray, "row column"]:
    """A smooth random field in [0, 1), alike at every resolution."""
    start = draw.uniform(0, 64, size=(2, 1, 1))
    row, column = np.mgrid[: size[0], : size[1]] * (16 / max(size)) + start
    return noise(row, column)
