"""What surfaces of a street look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.patterns import (
    Look,
    Patch,
    framed,
    lattice,
    mix,
    noise,
    plain,
    sharpness,
    stripes,
)
from mtljobs.data.rendering.shapes import Triple

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

STOREY_M = 3.0
"""Height of a storey."""

TYRE: Triple = (0.015, 0.015, 0.017)
GLASS: Triple = (0.05, 0.07, 0.09)


def colour(value: Triple) -> Float[np.ndarray, "channel 1"]:
    """A colour that goes with every pixel."""
    return np.array(value)[:, None]


def asphalt(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A worn road: a dashed line in the middle, a thin one along each kerb."""
    worn = 0.85 + 0.3 * noise(0.6 * patch.u + patch.phase, 0.15 * patch.v)
    dash = (np.abs(patch.u) < 0.08) & ((patch.v / 9 + patch.phase) % 1 < 0.45)
    edge = np.abs(np.abs(patch.u) - (patch.half_u - patch.period)) < 0.06
    return np.asarray(mix(patch, 0.9 * (dash | edge) * sharpness(patch, 0.6)) * worn)


def zebra(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """White bars along the road, for those who cross it."""
    bar = (patch.u / patch.period) % 1 < 0.5
    return mix(patch, 0.5 + 0.45 * (2 * bar - 1) * sharpness(patch, 2 * patch.period))


def paving(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Slabs of concrete with dark joints, and a pale kerb."""
    x, y = patch.u / patch.period + patch.phase, patch.v / patch.period
    joint = ((x % 1 < 0.06) | (y % 1 < 0.06)) * sharpness(patch, patch.period / 3)
    kerb = (patch.half_u - np.abs(patch.u) < 0.16) | (patch.axis != 2)
    tone = 0.85 + 0.3 * lattice(np.floor(x), np.floor(y)) * sharpness(patch, patch.period)
    return np.asarray(mix(patch, 0.6 * joint) * np.where(kerb, 1.3, tone))


def grass(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A meadow with bare patches."""
    bare = np.clip(2 * noise(0.3 * patch.u + patch.phase, 0.3 * patch.v) - 1.1, 0, 1)
    blades = noise(7 * patch.u, 7 * patch.v + patch.phase) - 0.5
    return np.asarray(mix(patch, bare) * (1 + 0.5 * blades * sharpness(patch, 0.15)))


def leaves(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Foliage: bright and dark clumps."""
    clumps = noise(2.2 * patch.u + patch.phase, 2.2 * patch.v + patch.phase)
    fine = noise(7 * patch.u + patch.phase, 7 * patch.v) - 0.5
    lower = np.clip(0.5 - 0.5 * patch.v / patch.half_v, 0, 1)
    return np.asarray(
        mix(patch, np.clip(1.5 * clumps - 0.25 + 0.35 * lower, 0, 1))
        * (1 + 0.7 * fine * sharpness(patch, 0.3))
    )


def facade(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A front with windows in every storey above a row of shops; a roof without any."""
    x, y = patch.u / patch.period + patch.phase, (patch.v + patch.half_v) / STOREY_M
    column, storey = np.floor(x), np.floor(y)
    across, up = x - column, y - storey
    shop = storey < 1
    pane = np.where(
        shop,
        (np.abs(across - 0.5) < 0.42) & (up > 0.08) & (up < 0.72),
        (np.abs(across - 0.5) < 0.24) & (np.abs(up - 0.5) < 0.3),
    )
    awning = shop & (np.abs(up - 0.85) < 0.08)
    mirrored = 0.5 + 5 * lattice(column + 7, storey) ** 4 + 1.5 * lattice(storey, column)
    sill = ~shop & (up < 0.05)
    wall = patch.base * (0.92 + 0.16 * noise(0.5 * patch.u + patch.phase, 0.5 * patch.v))
    wall = wall * np.where(sill, 0.75, 1.0)
    front = np.where(pane, colour(GLASS) * mirrored, np.where(awning, patch.accent, wall))
    front = wall + (front - wall) * sharpness(patch, STOREY_M / 2)
    return np.where(patch.axis == 2, patch.base * 0.35, front)


def house(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A front with a few windows, each with shutters."""
    x, y = patch.u / patch.period + 0.5, (patch.v + patch.half_v) / STOREY_M
    across, up = np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.55)
    pane = (across < 0.17) & (up < 0.23)
    shutter = (across < 0.27) & (up < 0.25)
    wall = patch.base * (0.92 + 0.16 * noise(patch.u + patch.phase, patch.v))
    front = np.where(pane, colour(GLASS) * 1.5, np.where(shutter, patch.accent, wall))
    return np.asarray(wall + (front - wall) * sharpness(patch, STOREY_M / 2))


def bricks(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Courses of bricks or blocks, pale mortar between them."""
    course = np.floor(patch.v / patch.period)
    x = patch.u / (2.2 * patch.period) + 0.5 * (course % 2)
    mortar = (x % 1 < 0.07) | ((patch.v / patch.period) % 1 < 0.14)
    tone = 0.8 + 0.4 * lattice(np.floor(x), course) * sharpness(patch, patch.period)
    streaks = 0.8 + 0.4 * noise(0.8 * patch.u + patch.phase, 0.1 * patch.v)
    return np.asarray(mix(patch, mortar * sharpness(patch, patch.period / 2)) * tone * streaks)


def railing(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Bars or boards side by side between two rails, dark gaps between them."""
    bar = (patch.u / patch.period) % 1 < 0.55
    rail = np.abs(np.abs(patch.v / patch.half_v) - 0.75) < 0.12
    fine = 0.55 + (bar - 0.55) * sharpness(patch, patch.period)
    return np.asarray(mix(patch, 1 - np.maximum(fine, rail)))


def wheels(patch: Patch, radius: float) -> Bool[np.ndarray, "pixel"]:
    """Where the long sides of a vehicle show its two wheels."""
    along = np.abs(patch.u) - 0.62 * patch.half_u
    disc = along**2 + (patch.v + patch.half_v - radius) ** 2 < radius**2
    return np.asarray((patch.axis == 0) & disc)


def bodywork(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """The lower part of a car: sheet metal, wheels, bumpers, lamps, a number plate."""
    low = (patch.v + patch.half_v) < 0.22
    end, height = patch.axis == 1, patch.v / patch.half_v
    beside = np.abs(np.abs(patch.u / patch.half_u) - 0.78) < 0.17
    lamp = end & beside & (np.abs(height - 0.45) < 0.2)
    plate = end & (np.abs(patch.u) < 0.28) & (np.abs(height + 0.1) < 0.12)
    seam = ~end & (np.abs(patch.u) < 0.02)
    metal = patch.base * np.where(seam, 0.5, 0.85 + 0.25 * np.clip(height, 0, 1))
    metal = np.where(lamp, patch.accent, np.where(plate, 0.7, metal))
    dark = (low | wheels(patch, 0.34)) & (patch.axis != 2)
    return np.where(dark, colour(TYRE), metal)


def cabin(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """The upper part of a car: glass between pillars, a painted roof."""
    pillar = (patch.half_u - np.abs(patch.u) < 0.08) | (
        (patch.axis == 0) & (np.abs(patch.u) < 0.05)
    )
    edge = pillar | (patch.half_v - patch.v < 0.07) | (patch.axis == 2)
    reflected = colour(GLASS) * (1 + 1.5 * np.clip(patch.v / patch.half_v, 0, 1))
    return np.where(edge, patch.base, reflected)


def coach(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A bus or a tram: a band of windows, a stripe below it, wheels, lamps at its ends."""
    height = (patch.v + patch.half_v) / (2 * patch.half_v)
    pillar = (patch.u / patch.period + 0.5) % 1 < 0.08
    end = patch.axis == 1
    glass = (np.abs(height - 0.65) < np.where(end, 0.22, 0.17)) & (end | ~pillar)
    glass &= patch.half_u - np.abs(patch.u) > 0.1
    stripe = np.abs(height - 0.38) < 0.05
    beside = np.abs(np.abs(patch.u / patch.half_u) - 0.8) < 0.1
    lamp = end & beside & (np.abs(height - 0.22) < 0.04)
    body = np.where(stripe, patch.accent, patch.base)
    body = np.where(glass, colour(GLASS) * 1.3, np.where(lamp, 0.9, body))
    dark = ((height < 0.09) | wheels(patch, 0.5)) & (patch.axis != 2)
    return np.where(dark, colour(TYRE), np.where(patch.axis == 2, patch.base, body))


def wheel(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A tyre around a bright disc."""
    return np.where(_radius(patch) > 0.8, patch.base, patch.accent)


def sign(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A round sign with a rim and a bar."""
    u, v = patch.u / patch.half_u, patch.v / patch.half_v
    inside = (_radius(patch) < 0.75) & ~((np.abs(v) < 0.14) & (np.abs(u) < 0.5))
    return np.where(inside, patch.base, patch.accent)


def board(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """A rectangular sign with a frame and lines of text."""
    text = ((patch.v / patch.period) % 1 < 0.35) & (np.abs(patch.u) < 0.75 * patch.half_u)
    marked = np.maximum(text * sharpness(patch, patch.period), framed(patch, 0.04))
    return mix(patch, marked * (patch.axis == 1))


def signal(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Three lamps in a dark case, one of them lit."""
    place = np.clip(np.floor(1.5 * (patch.v / patch.half_v + 1)), 0, 2)  # 0 is the lowest
    up = 1.5 * (patch.v / patch.half_v + 1) - place - 0.5
    lens = ((patch.u / patch.half_u) ** 2 / 0.6 + up**2 / 0.16 < 1) & (patch.axis == 1)
    hues = np.array([[0.05, 1.6, 0.7], [1.6, 0.9, 0.05], [1.8, 0.08, 0.05]])
    lit = place == np.floor(patch.phase) % 3
    shining = hues[place.astype(np.int64)].T * np.where(lit, 1.0, 0.06)
    return np.where(lens, shining, patch.base)


def sky(patch: Patch) -> Float[np.ndarray, "channel pixel"]:
    """Pale at the horizon, deeper above, with clouds as far as `period` says, 0 to 1."""
    height = np.clip((patch.v + patch.half_v) / (2 * patch.half_v), 0, 1) ** 0.6
    height = np.where(patch.axis == 2, 1.0, height)
    clear = patch.accent + (patch.base - patch.accent) * height
    cloud = noise(patch.u / 70 + patch.phase, patch.v / 18 + patch.phase)
    cloud = 0.7 * cloud + 0.3 * noise(patch.u / 20, patch.v / 7 + patch.phase)
    cover = np.clip(3 * (cloud - 1 + patch.period), 0, 1)
    return np.asarray(clear + (1.25 - clear) * 0.8 * cover)


def _radius(patch: Patch) -> Float[np.ndarray, "pixel"]:
    """Distance from the middle of a disc that stands upright; 1 at its edge."""
    return np.asarray(np.hypot(patch.u / patch.half_u, patch.v / patch.half_v))


LOOK = Look(
    painters={
        "plain": plain,
        "stripes": stripes,
        "asphalt": asphalt,
        "zebra": zebra,
        "paving": paving,
        "grass": grass,
        "leaves": leaves,
        "facade": facade,
        "house": house,
        "bricks": bricks,
        "railing": railing,
        "bodywork": bodywork,
        "cabin": cabin,
        "coach": coach,
        "wheel": wheel,
        "sign": sign,
        "board": board,
        "signal": signal,
        "sky": sky,
    },
    glowing=frozenset({"sky", "signal"}),
)
