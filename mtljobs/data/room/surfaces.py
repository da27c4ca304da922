"""What surfaces of a room look like."""

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

if TYPE_CHECKING:
    from jaxtyping import Float


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


LOOK = Look(
    painters={
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
    },
    glowing=frozenset({"window", "screen"}),  # lit from behind
)
