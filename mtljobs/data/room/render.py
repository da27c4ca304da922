"""A scene as a noiseless picture with its exact geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.room.light import illuminate
from mtljobs.data.room.rays import Hits, camera_axes, cast
from mtljobs.data.room.scene import Scene
from mtljobs.data.room.surfaces import GLOWING, PATTERNS, Patch, paint_points

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHELL_LABELS = ("wall", "wall", "wall", "wall", "floor", "ceiling")
"""Class names of `Scene.shell`."""


@dataclass(frozen=True)
class Rendering:
    """What a perfect camera and a perfect depth sensor would measure.

    Attributes:
        radiance: Linear light, >= 0.
        face: What is seen: position in `Scene.boxes`, or behind them in `Scene.shell`.
        depth: Metres along the optical axis.
        normals: Unit vectors in the camera's axes, facing it.
        cosine: Of the angle between the normal and the direction to the camera.
    """

    radiance: Float[np.ndarray, "channel row column"]
    face: Int[np.ndarray, "row column"]
    depth: Float[np.ndarray, "row column"]
    normals: Float[np.ndarray, "camera row column"]
    cosine: Float[np.ndarray, "row column"]


def camera_of(size: tuple[int, int]) -> Camera:
    """The camera of every room: 71 degrees along the image's longer side."""
    rows, columns = size
    focal = 0.7 * max(size)
    return Camera(fx=focal, fy=focal, cx=(columns - 1) / 2, cy=(rows - 1) / 2)


def render(scene: Scene, size: tuple[int, int]) -> Rendering:
    """The picture of a scene at (rows, columns)."""
    camera, axes = camera_of(size), camera_axes(scene.view)
    rays = camera.rays(np.arange(size[0]), np.arange(size[1]))
    directions = np.einsum("cw,crp->wrp", axes, rays)
    hits = cast(scene, camera, directions)
    faces = Faces.of(scene)

    points = np.array(scene.view.position)[:, None, None] + hits.depth * directions
    normals = faces.normals(hits, directions)
    cosine = -np.einsum("wrp,wrp->rp", normals, directions) / np.linalg.norm(rays, axis=0)
    footprint = hits.depth / (camera.fx * np.maximum(cosine, 0.2))
    colours = faces.colours(hits, points, footprint)
    light = np.where(faces.glowing[hits.face], 1.0, illuminate(scene, points, normals))
    return Rendering(
        radiance=colours * light,
        face=hits.face,
        depth=hits.depth,
        normals=np.einsum("cw,wrp->crp", axes, normals),
        cosine=cosine,
    )


@dataclass(frozen=True)
class Faces:
    """What a scene's boxes, and behind them its shell, look like: one entry per box or side."""

    centre: Float[np.ndarray, "face 3"]
    half: Float[np.ndarray, "face 3"]
    turn: Float[np.ndarray, "face"]
    base: Float[np.ndarray, "face 3"]
    accent: Float[np.ndarray, "face 3"]
    period: Float[np.ndarray, "face"]
    phase: Float[np.ndarray, "face"]
    pattern: Int[np.ndarray, "face"]
    glowing: Float[np.ndarray, "face"]

    @classmethod
    def of(cls, scene: Scene) -> Faces:
        """Gather the boxes and the shell of a scene."""
        solids = (*scene.boxes, *[scene.room] * len(scene.shell))
        surfaces = (*[box.surface for box in scene.boxes], *scene.shell)
        names = list(PATTERNS)
        return cls(
            centre=np.array([solid.centre for solid in solids]),
            half=np.array([solid.half for solid in solids]),
            turn=np.array([solid.turn for solid in solids]),
            base=np.array([surface.base for surface in surfaces]),
            accent=np.array([surface.accent for surface in surfaces]),
            period=np.array([surface.period for surface in surfaces]),
            phase=np.array([surface.phase for surface in surfaces]),
            pattern=np.array([names.index(surface.pattern) for surface in surfaces]),
            glowing=np.array([surface.pattern in GLOWING for surface in surfaces]),
        )

    def normals(
        self, hits: Hits, directions: Float[np.ndarray, "world row column"]
    ) -> Float[np.ndarray, "world row column"]:
        """The normal of the face that each pixel sees, on the side that it is seen from."""
        # A quarter turn leads from a box's first axis to its second.
        turn = self.turn[hits.face] + hits.axis * (math.pi / 2)
        upright = hits.axis < 2
        normal = np.stack([np.cos(turn) * upright, np.sin(turn) * upright, ~upright])
        return np.asarray(-normal * np.sign(np.einsum("wrp,wrp->rp", normal, directions)))

    def colours(
        self,
        hits: Hits,
        points: Float[np.ndarray, "world row column"],
        footprint: Float[np.ndarray, "row column"],
    ) -> Float[np.ndarray, "channel row column"]:
        """Reflectance (radiance, where it glows) of what each pixel sees."""
        face = hits.face.ravel()
        axis, turn = hits.axis.ravel(), self.turn[face]
        x, y, z = points.reshape(3, -1) - self.centre[face].T
        cosine, sine = np.cos(turn), np.sin(turn)
        own_x, own_y = x * cosine + y * sine, y * cosine - x * sine
        half_x, half_y, half_z = self.half[face].T
        patch = Patch(
            u=np.where(axis == 0, own_y, own_x),
            v=np.where(axis == 2, own_y, z),
            half_u=np.where(axis == 0, half_y, half_x),
            half_v=np.where(axis == 2, half_y, half_z),
            base=self.base[face].T,
            accent=self.accent[face].T,
            period=self.period[face],
            phase=self.phase[face],
            footprint=footprint.ravel(),
        )
        return paint_points(patch, self.pattern[face]).reshape(points.shape)
