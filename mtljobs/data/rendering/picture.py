"""A world as a noiseless picture with its exact geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.patterns import Look, Patch
from mtljobs.data.rendering.rays import ROUND, Hits, camera_axes, cast
from mtljobs.data.rendering.shapes import World

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Points = Float[np.ndarray, "world row column"]
    Illuminate = Callable[[Points, Points], Float[np.ndarray, "channel row column"]]
    """Light that reaches points on faces with these normals, per channel."""


@dataclass(frozen=True)
class Picture:
    """What a perfect camera and a perfect depth sensor would measure.

    Attributes:
        radiance: Linear light, >= 0.
        face: What is seen: position in `World.labels`.
        depth: Metres along the optical axis.
        normals: Unit vectors in the camera's axes, facing it.
        cosine: Of the angle between the normal and the direction to the camera.
    """

    radiance: Float[np.ndarray, "channel row column"]
    face: Int[np.ndarray, "row column"]
    depth: Float[np.ndarray, "row column"]
    normals: Float[np.ndarray, "camera row column"]
    cosine: Float[np.ndarray, "row column"]


def take_picture(
    world: World,
    camera: Camera,
    size: tuple[int, int],
    *,
    look: Look,
    illuminate: Illuminate,
) -> Picture:
    """The picture of a world at (rows, columns)."""
    axes = camera_axes(world.view)
    rays = camera.rays(np.arange(size[0]), np.arange(size[1]))
    directions = np.einsum("cw,crp->wrp", axes, rays)
    hits = cast(world, camera, directions)
    faces = Faces.of(world, look)

    points = np.array(world.view.position)[:, None, None] + hits.depth * directions
    normals = faces.normals(hits, points, directions)
    cosine = -np.einsum("wrp,wrp->rp", normals, directions) / np.linalg.norm(rays, axis=0)
    footprint = hits.depth / (camera.fx * np.maximum(cosine, 0.2))
    colours = faces.colours(hits, points, footprint, look)
    light = np.where(faces.glowing[hits.face], 1.0, illuminate(points, normals))
    return Picture(
        radiance=colours * light,
        face=hits.face,
        depth=hits.depth,
        normals=np.einsum("cw,wrp->crp", axes, normals),
        cosine=cosine,
    )


@dataclass(frozen=True)
class Faces:
    """What a world's solids, and behind them its sides, look like: an entry per face of `Hits`."""

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
    def of(cls, world: World, look: Look) -> Faces:
        """Gather the solids and the sides of a world."""
        solids = (*world.solids, *[world.shell] * len(world.sides))
        surfaces = (*[solid.surface for solid in world.solids], *world.sides)
        names = list(look.painters)
        return cls(
            centre=np.array([solid.centre for solid in solids]),
            half=np.array([solid.half for solid in solids]),
            turn=np.array([solid.turn for solid in solids]),
            base=np.array([surface.base for surface in surfaces]),
            accent=np.array([surface.accent for surface in surfaces]),
            period=np.array([surface.period for surface in surfaces]),
            phase=np.array([surface.phase for surface in surfaces]),
            pattern=np.array([names.index(surface.pattern) for surface in surfaces]),
            glowing=np.array([surface.pattern in look.glowing for surface in surfaces]),
        )

    def normals(
        self,
        hits: Hits,
        points: Float[np.ndarray, "world row column"],
        directions: Float[np.ndarray, "world row column"],
    ) -> Float[np.ndarray, "world row column"]:
        """The normal of the face that each pixel sees, on the side that it is seen from."""
        # A quarter turn leads from a box's first axis to its second.
        turn = self.turn[hits.face] + hits.axis * (math.pi / 2)
        upright = hits.axis < 2
        normal = np.stack([np.cos(turn) * upright, np.sin(turn) * upright, ~upright])
        curved = hits.axis == ROUND
        normal[:, curved] = self._curved_normals(hits.face[curved], points[:, curved])
        return np.asarray(-normal * np.sign(np.einsum("wrp,wrp->rp", normal, directions)))

    def _curved_normals(
        self, face: Int[np.ndarray, "pixel"], points: Float[np.ndarray, "world pixel"]
    ) -> Float[np.ndarray, "world pixel"]:
        """The normals of ellipsoids: the gradient of the sum of (own / half)^2."""
        turn = self.turn[face]
        x, y, z = self._own(face, points) / self.half[face].T ** 2
        cosine, sine = np.cos(turn), np.sin(turn)
        gradient = np.stack([x * cosine - y * sine, x * sine + y * cosine, z])
        return np.asarray(gradient / np.linalg.norm(gradient, axis=0))

    def _own(
        self, face: Int[np.ndarray, "pixel"], points: Float[np.ndarray, "world pixel"]
    ) -> Float[np.ndarray, "own pixel"]:
        """Points as seen from the middle of their solid, along its own axes."""
        x, y, z = points - self.centre[face].T
        cosine, sine = np.cos(self.turn[face]), np.sin(self.turn[face])
        return np.stack([x * cosine + y * sine, y * cosine - x * sine, z])

    def colours(
        self,
        hits: Hits,
        points: Float[np.ndarray, "world row column"],
        footprint: Float[np.ndarray, "row column"],
        look: Look,
    ) -> Float[np.ndarray, "channel row column"]:
        """Reflectance (radiance, where it glows) of what each pixel sees."""
        face, axis = hits.face.ravel(), hits.axis.ravel()
        own_x, own_y, z = self._own(face, points.reshape(3, -1))
        half_x, half_y, half_z = self.half[face].T
        along_y = np.where(axis == ROUND, half_y > half_x, axis == 0)
        patch = Patch(
            u=np.where(along_y, own_y, own_x),
            v=np.where(axis == 2, own_y, z),
            half_u=np.where(along_y, half_y, half_x),
            half_v=np.where(axis == 2, half_y, half_z),
            base=self.base[face].T,
            accent=self.accent[face].T,
            period=self.period[face],
            phase=self.phase[face],
            axis=axis,
            footprint=footprint.ravel(),
        )
        return look.colours(patch, self.pattern[face]).reshape(points.shape)
