"""The pinhole camera, and surface normals from depth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STEEPEST = math.tan(math.radians(80))
"""Slope beyond which two neighbouring depths count as two surfaces."""


@dataclass(**DECLARED)
class Camera:
    """A pinhole without distortion, in pixels.

    The pixel at (row, column) looks along ((column - cx) / fx, (row - cy) / fy, 1): x right,
    y down, z away from the camera; the middle of the first pixel is (0, 0).
    """

    fx: Annotated[float, Field(gt=0)]
    fy: Annotated[float, Field(gt=0)]
    cx: float
    cy: float

    @classmethod
    def centred(cls, size: tuple[int, int], *, focal: float) -> Camera:
        """A camera that looks through the middle of (rows, columns) square pixels."""
        rows, columns = size
        return cls(fx=focal, fy=focal, cx=(columns - 1) / 2, cy=(rows - 1) / 2)

    def rays(
        self, rows: Int[np.ndarray, "row"], columns: Int[np.ndarray, "column"]
    ) -> Float[np.ndarray, "3 row column"]:
        """What the pixels of some rows and columns look along, scaled to z = 1."""
        x, y = np.meshgrid((columns - self.cx) / self.fx, (rows - self.cy) / self.fy)
        return np.stack([x, y, np.ones_like(x)])


def normals_from_depth(
    depth: Float[np.ndarray, "row column"],
    camera: Camera,
    *,
    reach: int,
    rows: Int[np.ndarray, "row"],
    columns: Int[np.ndarray, "column"],
) -> Float[np.ndarray, "3 row column"]:
    """Unit normals, facing the camera, of the planes that fit best around some pixels.

    On a plane the inverse of depth is linear in the pixel's position, so that a least squares fit
    gives the normal exactly. It takes up to 5 x 5 depths spread evenly over a window; those that
    are missing, or so far before or behind the middle that a surface between them would be
    steeper than `STEEPEST`, belong to something else and are left out.

    Args:
        depth: Metres, 0 where invalid.
        reach: Pixels from the middle of the window to its edge. As it grows, noise falls and
            creases get rounder.
        rows: Where normals are wanted, together with `columns`.

    Returns:
        0 where the depth is invalid, or where fewer depths are left than a window in the image's
        corner has (9 of 25).
    """
    steps = np.unique(np.rint(np.linspace(-reach, reach, 5)).astype(int))
    offsets = np.array([(i, j) for i in steps for j in steps])
    padded = np.pad(depth.astype(np.float64), reach)
    near = np.stack([padded[np.ix_(rows + reach + i, columns + reach + j)] for i, j in offsets])
    middle = near[len(near) // 2]
    length = np.hypot(offsets[:, 0] / camera.fy, offsets[:, 1] / camera.fx)
    used = (near > 0) & (np.abs(near - middle) <= STEEPEST * length[:, None, None] * middle)
    inverse = np.divide(1.0, near, out=np.zeros_like(near), where=used)
    enough = (middle > 0) & (used.sum(axis=0) >= ((len(steps) + 1) // 2) ** 2)

    terms = np.column_stack([np.ones(len(offsets)), offsets])
    products = np.einsum("ka,kb->kab", terms, terms)
    gram = np.einsum("krc,kab->rcab", used.astype(float), products)
    gram[~enough] = np.eye(3)
    moments = np.einsum("krc,ka->rca", inverse, terms)
    level, down, right = np.moveaxis(np.linalg.solve(gram, moments[..., None])[..., 0], -1, 0)
    normals = _facing(level, down * camera.fy, right * camera.fx, camera.rays(rows, columns))
    return np.where(enough, normals, 0.0)


def _facing(
    level: Float[np.ndarray, "row column"],
    down: Float[np.ndarray, "row column"],
    right: Float[np.ndarray, "row column"],
    rays: Float[np.ndarray, "3 row column"],
) -> Float[np.ndarray, "3 row column"]:
    """Normals of the planes 1 / z = level + down * dy + right * dx around the rays.

    A plane n . p = -d has 1 / z = -(n . ray) / d: up to its length, minus the gradient over the
    ray's x, y and constant part is the normal that faces the camera.
    """
    normal = -np.stack([right, down, level - down * rays[1] - right * rays[0]])
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=0), 1e-12))
