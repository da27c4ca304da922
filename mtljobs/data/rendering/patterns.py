"""What procedural patterns are made of, evaluated where a ray meets a face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

LATTICE = np.random.default_rng(13).random((64, 64)).astype(np.float32)
"""The one table of random numbers behind every pattern; wraps around."""


@dataclass(frozen=True)
class Patch:
    """The points of some pixels on their faces.

    Attributes:
        u: Metres from the face's middle: along the ground on an upright face, along x on a flat
            one, along the longer of x and y on a round one.
        v: Metres from the face's middle: along y on a flat face, else upwards.
        half_u: Half of the face's extent along u.
        half_v: Half of the face's extent along v.
        base: `Surface.base` per pixel.
        accent: `Surface.accent` per pixel.
        period: `Surface.period` per pixel.
        phase: `Surface.phase` per pixel.
        axis: Of the solid, 0 to 2, that the face is perpendicular to; 3 on a round one.
        footprint: Metres on the face that one pixel covers; finer detail is faded out.
    """

    u: Float[np.ndarray, "pixel"]
    v: Float[np.ndarray, "pixel"]
    half_u: Float[np.ndarray, "pixel"]
    half_v: Float[np.ndarray, "pixel"]
    base: Float[np.ndarray, "channel pixel"]
    accent: Float[np.ndarray, "channel pixel"]
    period: Float[np.ndarray, "pixel"]
    phase: Float[np.ndarray, "pixel"]
    axis: Int[np.ndarray, "pixel"]
    footprint: Float[np.ndarray, "pixel"]

    def part(self, chosen: slice | Int[np.ndarray, "pixel"]) -> Patch:
        """The points of some of the pixels."""
        return Patch(
            **{entry.name: getattr(self, entry.name)[..., chosen] for entry in fields(self)}
        )


Painter = Callable[[Patch], "Float[np.ndarray, 'channel pixel']"]
"""Reflectance of a patch, or its radiance where the pattern glows."""


@dataclass(frozen=True)
class Look:
    """The patterns that a kind of scene uses.

    Attributes:
        painters: Name of a pattern, as in `Surface.pattern`, -> what paints it.
        glowing: Patterns that shine by themselves and take no light from the scene.
    """

    painters: Mapping[str, Painter]
    glowing: frozenset[str]

    def colours(
        self, patch: Patch, pattern: Int[np.ndarray, "pixel"]
    ) -> Float[np.ndarray, "channel pixel"]:
        """Colour of every point.

        Args:
            pattern: Position of each point's pattern in `painters`.
        """
        order = np.argsort(pattern, kind="stable")
        grouped, colours = patch.part(order), np.empty_like(patch.base)
        starts = np.searchsorted(pattern[order], np.arange(len(self.painters) + 1))
        for painter, start, stop in zip(
            self.painters.values(), starts[:-1], starts[1:], strict=True
        ):
            if start < stop:
                points = slice(start, stop)
                colours[:, order[points]] = painter(grouped.part(points))
        return colours


def lattice(
    i: Float[np.ndarray, "pixel"], j: Float[np.ndarray, "pixel"]
) -> Float[np.ndarray, "pixel"]:
    """A random number in [0, 1) for each cell of a grid."""
    rows, columns = i.astype(np.int64), j.astype(np.int64)
    chosen: Float[np.ndarray, "pixel"] = LATTICE[rows & 63, columns & 63]
    return chosen


def noise(
    x: Float[np.ndarray, "pixel"], y: Float[np.ndarray, "pixel"]
) -> Float[np.ndarray, "pixel"]:
    """Smooth random field in [0, 1) with features of size 1."""
    left, below = np.floor(x), np.floor(y)
    across, up = x - left, y - below
    across, up = across * across * (3 - 2 * across), up * up * (3 - 2 * up)
    i, j = left.astype(np.int64), below.astype(np.int64)
    here, right, over, under = (i & 63) * 64, ((i + 1) & 63) * 64, (j + 1) & 63, j & 63
    table = LATTICE.ravel()
    low = table[here + under] * (1 - across) + table[right + under] * across
    high = table[here + over] * (1 - across) + table[right + over] * across
    return np.asarray(low * (1 - up) + high * up)


def sharpness(
    patch: Patch, period: Float[np.ndarray, "pixel"] | float
) -> Float[np.ndarray, "pixel"]:
    """How much of a detail of this size a pixel still resolves, 0 to 1; avoids moiré."""
    return np.clip(1.5 - patch.footprint / period, 0.0, 1.0)


def mix(patch: Patch, weight: Float[np.ndarray, "pixel"]) -> Float[np.ndarray, "channel pixel"]:
    """Base where the weight is 0, accent where it is 1."""
    return np.asarray(patch.base + (patch.accent - patch.base) * weight)


def plain(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Paint, plaster, plastic: one colour with faint blotches."""
    blotches = noise(3 * patch.u + patch.phase, 3 * patch.v + patch.phase)
    return patch.base * (0.92 + 0.16 * blotches)


def stripes(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Stripes across u."""
    wave = np.sin(2 * np.pi * patch.u / patch.period + patch.phase) > 0
    return np.asarray(mix(patch, wave * sharpness(patch, patch.period)) * plain(patch) / patch.base)


def framed(patch: Patch, width: float) -> Bool[np.ndarray, "pixel"]:
    """Which pixels lie within so many metres of the face's edge."""
    edge = np.minimum(patch.half_u - np.abs(patch.u), patch.half_v - np.abs(patch.v))
    framing: Bool[np.ndarray, "pixel"] = edge < width
    return framing
