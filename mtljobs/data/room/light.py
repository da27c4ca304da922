"""How much light falls on what the camera sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.rays import NEAREST, pierce
from mtljobs.data.rendering.shapes import Box
from mtljobs.data.room.scene import Light, Scene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def illuminate(
    scene: Scene,
    points: Float[np.ndarray, "world row column"],
    normals: Float[np.ndarray, "world row column"],
) -> Float[np.ndarray, "channel row column"]:
    """Light that reaches points: from everywhere, from the lamp, from the window."""
    ambient = scene.ambient * _openness(scene.world.shell, points)
    lamp = _shine(scene.lamp, points, normals) * ~_shadow(scene, points, normals)
    return np.asarray(ambient + lamp + _shine(scene.daylight, points, normals))


def _shine(
    light: Light,
    points: Float[np.ndarray, "world row column"],
    normals: Float[np.ndarray, "world row column"],
) -> Float[np.ndarray, "channel row column"]:
    """Light of a lamp on matt faces; it falls off as 2 / (1 + d^2), finite close by."""
    towards = np.array(light.position)[:, None, None] - points
    square = np.einsum("wrp,wrp->rp", towards, towards)
    cosine = np.einsum("wrp,wrp->rp", towards, normals) / np.sqrt(square + 1e-9)
    return np.asarray(
        np.array(light.colour)[:, None, None] * (2 * np.maximum(cosine, 0.0) / (1 + square))
    )


def _openness(
    room: Box, points: Float[np.ndarray, "world row column"]
) -> Float[np.ndarray, "row column"]:
    """Share of the ambient light that is left near edges and corners of the room."""
    centre, half = np.array(room.centre)[:, None, None], np.array(room.half)[:, None, None]
    gap = half - np.abs(points - centre)
    darker = np.where(gap > NEAREST, 0.45 * np.exp(-gap / 0.25), 0.0)
    return np.asarray(np.prod(1 - darker, axis=0))


def _shadow(
    scene: Scene,
    points: Float[np.ndarray, "world row column"],
    normals: Float[np.ndarray, "world row column"],
) -> Bool[np.ndarray, "row column"]:
    """Which points have a larger solid between them and the lamp."""
    start = points + 2 * NEAREST * normals
    towards = np.array(scene.lamp.position)[:, None, None] - start
    dark = np.zeros(points.shape[1:], dtype=bool)
    for solid in scene.world.solids:
        if sorted(solid.half)[1] < 0.15:  # legs and books: shadows thinner than a pixel
            continue
        enter, leave, _ = pierce(solid, start, towards)
        dark |= (enter < leave) & (enter > 0) & (enter < 1)
    return dark
