"""How much light falls on what the camera sees of a street."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.rendering.rays import NEAREST, corners_of, pierce
from mtljobs.data.rendering.shapes import Solid
from mtljobs.data.street.scene import Scene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

SHADED_M = 50.0
"""Metres along the street behind which shadows are not worth the search."""


def illuminate(
    scene: Scene,
    points: Float[np.ndarray, "world row column"],
    normals: Float[np.ndarray, "world row column"],
) -> Float[np.ndarray, "channel row column"]:
    """Light that reaches points: bluish from the sky above, warm from the sun."""
    weather = scene.weather
    facing = np.einsum("w,wrp->rp", np.array(weather.towards_sun), normals)
    lit = (facing > 0) & (points[1] < SHADED_M)
    shadow = np.zeros(facing.shape, dtype=bool)
    if weather.sunshine > 0.3:  # beneath clouds, shadows are too soft to see
        start = points[:, lit] + 2 * NEAREST * normals[:, lit]
        shadow[lit] = _shadow(scene, start)
    sky = weather.ambient * (0.65 + 0.35 * normals[2])
    sun = weather.sunshine * np.maximum(facing, 0.0) * ~shadow
    cool, warm = np.array([0.92, 1.0, 1.1]), np.array([1.08, 1.0, 0.86])
    return np.asarray(cool[:, None, None] * sky + warm[:, None, None] * sun)


def _shadow(scene: Scene, points: Float[np.ndarray, "world pixel"]) -> Bool[np.ndarray, "pixel"]:
    """Which points have a solid between them and the sun."""
    sun = np.array(scene.weather.towards_sun)
    across = np.cross(sun, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    plane = np.stack([across, np.cross(sun, across), sun])  # two axes as the sun sees them
    seen = plane @ points
    dark = np.zeros(points.shape[1], dtype=bool)
    solids = [solid for solid in scene.world.solids if _shades(solid)]
    corners = corners_of(solids) @ plane.T
    for solid, low, high in zip(solids, corners.min(axis=1), corners.max(axis=1), strict=True):
        chosen = ~dark & (seen[2] < high[2])
        for axis in (0, 1):
            chosen &= (low[axis] < seen[axis]) & (seen[axis] < high[axis])
        if chosen.any():
            rays = np.broadcast_to(sun[:, None, None], (3, 1, chosen.sum()))
            enter, leave, _ = pierce(solid, points[:, None, chosen], rays)
            dark[chosen] = (enter < leave)[0] & (enter > 0)[0]
    return dark


def _shades(solid: Solid) -> bool:
    """Whether a solid's shadow is worth the search: not flat, not thinner than a pixel, not far."""
    _, middle, _ = sorted(solid.half)
    return solid.half[2] > 0.25 and middle > 0.2 and solid.centre[1] < SHADED_M
