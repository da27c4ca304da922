"""What surfaces look like: procedural patterns, evaluated where a ray meets a face."""

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
        u: Metres from the face's middle: along the ground on an upright face, else along x.
        v: Metres from the face's middle: upwards on an upright face, else along y.
        half_u: Half of the face's extent along u.
        half_v: Half of the face's extent along v.
        base: `Surface.base` per pixel.
        accent: `Surface.accent` per pixel.
        period: `Surface.period` per pixel.
        phase: `Surface.phase` per pixel.
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
    footprint: Float[np.ndarray, "pixel"]

    def where(self, chosen: Bool[np.ndarray, "pixel"]) -> Patch:
        """The points of a part of the pixels."""
        return Patch(
            **{entry.name: getattr(self, entry.name)[..., chosen] for entry in fields(self)}
        )


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
    low = lattice(left, below) * (1 - across) + lattice(left + 1, below) * across
    high = lattice(left, below + 1) * (1 - across) + lattice(left + 1, below + 1) * across
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


def wood(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Grain along u."""
    wavy = patch.v + 0.02 * noise(2 * patch.u, 4 * patch.v + patch.phase)
    grain = noise(1.5 * patch.u + patch.phase, 4 * wavy / patch.period)
    return mix(patch, 0.9 * grain * sharpness(patch, patch.period / 2))


def planks(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A wooden floor: boards of their own tone, dark joints."""
    across = patch.v / patch.period + patch.phase
    board = np.floor(across)
    along = patch.u / 1.2 + 7 * lattice(board, board + 5)
    tone = 0.75 + 0.5 * lattice(board, np.floor(along))
    grain = noise(2 * patch.u + 9 * board, 6 * across)
    joint = (across - board < 0.06) | (along - np.floor(along) < 0.01)
    dark = np.maximum(0.5 * grain, joint) * sharpness(patch, patch.period)
    return mix(patch, dark) * tone


def tiles(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Square tiles with grout between them."""
    x, y = patch.u / patch.period + patch.phase, patch.v / patch.period + patch.phase
    column, row = np.floor(x), np.floor(y)
    grout = (x - column < 0.05) | (y - row < 0.05)
    tone = 0.85 + 0.3 * lattice(column, row)
    return mix(patch, grout * sharpness(patch, patch.period / 4)) * tone


def carpet(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A mottled pile."""
    fine = noise(40 * patch.u, 40 * patch.v + patch.phase) - 0.5
    coarse = noise(4 * patch.u + patch.phase, 4 * patch.v) - 0.5
    return np.asarray(patch.base * (1 + 0.5 * fine * sharpness(patch, 0.05) + 0.4 * coarse))


def fabric(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Soft cloth with folds."""
    folds = noise(5 * patch.u + patch.phase, 5 * patch.v)
    thread = noise(60 * patch.u, 60 * patch.v + patch.phase) - 0.5
    return np.asarray(patch.base * (0.75 + 0.5 * folds + 0.4 * thread * sharpness(patch, 0.03)))


def stripes(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Stripes across u."""
    wave = np.sin(2 * np.pi * patch.u / patch.period + patch.phase) > 0
    return np.asarray(mix(patch, wave * sharpness(patch, patch.period)) * plain(patch) / patch.base)


def checks(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Two sets of stripes that cross."""
    across = np.sin(2 * np.pi * patch.u / patch.period + patch.phase) > 0
    along = np.sin(2 * np.pi * patch.v / patch.period + patch.phase) > 0
    weight = 0.5 * (across.astype(np.float32) + along) * sharpness(patch, patch.period)
    return np.asarray(mix(patch, weight) * plain(patch) / patch.base)


def panels(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Doors or drawers: wood with dark gaps between the panels."""
    x, y = (patch.u + patch.half_u) / patch.period, (patch.v + patch.half_v) / (1.3 * patch.period)
    gap = (np.abs(x - np.rint(x)) < 0.03) | (np.abs(y - np.rint(y)) < 0.025)
    grain = noise(25 * patch.u + patch.phase, 2 * patch.v)
    return mix(patch, np.maximum(0.25 * grain, gap * sharpness(patch, 0.1 * patch.period)))


def books(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Spines side by side, each of its own colour and height."""
    across = patch.u / patch.period + patch.phase
    spine = np.floor(across)
    hue = np.stack([lattice(spine, spine * 0 + channel) for channel in range(3)])
    cover = 0.03 + 0.75 * hue**2 * (0.4 + patch.base)
    gap = across - spine < 0.12
    above = patch.v > patch.half_v * (1 - 0.5 * lattice(spine, spine + 9))
    title = (np.abs(patch.v / patch.half_v) < 0.15) & (np.abs(across - spine - 0.55) < 0.2)
    resolved = sharpness(patch, patch.period * 2)
    cover = np.where(title, cover + 0.3 * resolved, cover)
    return np.asarray(cover + (patch.accent - cover) * np.maximum(above, 0.8 * gap * resolved))


def framed(patch: Patch, width: float) -> Bool[np.ndarray, "pixel"]:
    """Which pixels lie within so many metres of the face's edge."""
    edge = np.minimum(patch.half_u - np.abs(patch.u), patch.half_v - np.abs(patch.v))
    framing: Bool[np.ndarray, "pixel"] = edge < width
    return framing


def painting(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Blots of colour in a frame."""
    x, y = patch.u / patch.period, patch.v / patch.period
    blots = np.stack(
        [noise(2 * x + patch.phase + 17 * channel, 2 * y + patch.phase) for channel in range(3)]
    )
    canvas = np.clip(1.6 * blots - 0.3, 0.02, 1.0) * (0.35 + 0.65 * patch.base)
    return np.where(framed(patch, 0.05), patch.accent, canvas)


def screen(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A dark glossy screen in a black frame."""
    glow = 0.4 + 1.2 * noise(patch.u / patch.period + patch.phase, patch.v / patch.period)
    return np.where(framed(patch, 0.03), patch.accent, patch.base * glow)


def window(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Sky above, green below, behind a frame with bars."""
    height = patch.v / patch.half_v
    trees = 0.35 * noise(5 * patch.u + patch.phase, patch.phase) - 0.5
    green = np.array([[0.25], [0.42], [0.16]], np.float32)
    outside = np.where(height < trees, green, patch.base * (1.0 - 0.12 * height))
    bars = (np.abs(patch.u) < 0.03) | (np.abs(patch.v - 0.3 * patch.half_v) < 0.02)
    return np.where(framed(patch, 0.06) | bars, patch.accent, outside)


PATTERNS: Mapping[str, Callable[[Patch], Float[np.ndarray, "channel pixel"]]] = {
    "plain": plain,
    "wood": wood,
    "planks": planks,
    "tiles": tiles,
    "carpet": carpet,
    "fabric": fabric,
    "stripes": stripes,
    "checks": checks,
    "panels": panels,
    "books": books,
    "painting": painting,
    "screen": screen,
    "window": window,
}
"""Reflectance of a patch, or radiance where the pattern is in `GLOWING`."""

GLOWING = frozenset({"window", "screen"})
"""Patterns that are lit from behind and take no light from the room."""


def paint_points(
    patch: Patch, pattern: Int[np.ndarray, "pixel"]
) -> Float[np.ndarray, "channel pixel"]:
    """Colour of every point.

    Args:
        pattern: Position of each point's pattern in `PATTERNS`.
    """
    painters = tuple(PATTERNS.values())
    colours = np.empty_like(patch.base)
    for position in np.unique(pattern):
        chosen = pattern == position
        colours[:, chosen] = painters[position](patch.where(chosen))
    return colours
