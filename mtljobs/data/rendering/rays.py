"""The first face that each ray of the camera meets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.shapes import Ellipsoid, Solid, Triple, View, World

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Plane = Float[np.ndarray, "#row #column"]
    Plane3 = tuple[Plane, Plane, Plane]
    """A vector for each ray, an array per axis."""

NEAREST = 1e-3
"""Metres; a face closer to a ray's start is the one that it starts from."""

ROUND = 3
"""Stands for the axis of a face that is not flat."""

CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
"""Of a box, in units of its `half`."""


@dataclass
class Hits:
    """The first face that each pixel's ray meets.

    Attributes:
        face: Position in `World.labels`.
        depth: Metres along the optical axis.
        axis: The solid's own axis that the face is perpendicular to, or `ROUND`.
    """

    face: Int[np.ndarray, "row column"]
    depth: Float[np.ndarray, "row column"]
    axis: Int[np.ndarray, "row column"]

    def part(self, seen: tuple[slice, slice]) -> Hits:
        """A view of some rows and columns."""
        return Hits(self.face[seen], self.depth[seen], self.axis[seen])


def camera_axes(view: View) -> Float[np.ndarray, "camera world"]:
    """The camera's axes right, down and forward, a row each, in the world's axes."""
    cos_yaw, sin_yaw = np.cos(view.yaw), np.sin(view.yaw)
    cos_pitch, sin_pitch = np.cos(view.pitch), np.sin(view.pitch)
    right = np.array([cos_yaw, sin_yaw, 0.0])
    forward = np.array([-sin_yaw * cos_pitch, cos_yaw * cos_pitch, -sin_pitch])
    return np.stack([right, np.cross(forward, right), forward])


def cast(world: World, camera: Camera, directions: Float[np.ndarray, "world row column"]) -> Hits:
    """Send a ray through every pixel.

    Args:
        directions: In the world's axes, of depth 1.
    """
    start = np.array(world.view.position)[:, None, None]
    hits = _leave_shell(world, start, directions)
    for outline in _outlines(world, camera, directions.shape[1:]):
        part, rays = hits.part(outline.seen), directions[:, *outline.seen]
        if outline.nearest < part.depth.max():  # else all of it is hidden
            _meet(part, outline.face, world.solids[outline.face], start, rays)
    return hits


def pierce(
    solid: Solid,
    start: Float[np.ndarray, "world #row #column"],
    direction: Float[np.ndarray, "world row column"],
) -> tuple[
    Float[np.ndarray, "row column"], Float[np.ndarray, "row column"], Int[np.ndarray, "row column"]
]:
    """Where rays enter and leave a solid.

    Returns:
        Both distances in units of the direction, and the axis (or `ROUND`) of the face that is
        entered. A ray misses the solid unless it enters before it leaves.
    """
    x, y, z = solid.centre
    begin = _own_axes(solid, (start[0] - x, start[1] - y, start[2] - z))
    along = _own_axes(solid, (direction[0], direction[1], direction[2]))
    if isinstance(solid, Ellipsoid):
        enter, leave = _pierce_ellipsoid(solid.half, begin, along)
        return enter, leave, np.full(enter.shape, ROUND)
    enters, leaves = zip(*map(_slab, solid.half, begin, along), strict=True)
    enter = np.maximum(enters[0], enters[1])
    axis = np.where(enters[2] > enter, 2, enters[1] > enters[0])
    leave = np.minimum(np.minimum(leaves[0], leaves[1]), leaves[2])
    return np.maximum(enter, enters[2]), leave, axis


def _own_axes(solid: Solid, vectors: Plane3) -> Plane3:
    """World vectors along a solid's own axes."""
    if not solid.turn:
        return vectors
    cosine, sine = math.cos(solid.turn), math.sin(solid.turn)
    x, y, z = vectors
    return x * cosine + y * sine, y * cosine - x * sine, z


def _slab(
    half: float, begin: Float[np.ndarray, "#row #column"], along: Float[np.ndarray, "row column"]
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "row column"]]:
    """Where rays enter and leave the slab between a pair of a box's faces.

    A ray is inside the box from the last slab that it enters to the first that it leaves.

    Source:
        Kay and Kajiya, Ray Tracing Complex Scenes (SIGGRAPH 1986), section 3.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / along
        one, other = (-half - begin) * inverse, (half - begin) * inverse
    return np.fmin(one, other), np.fmax(one, other)


def _pierce_ellipsoid(
    half: Triple, begin: Plane3, along: Plane3
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "row column"]]:
    """Where rays enter and leave an ellipsoid; not a number where they miss it."""
    square = middle = beyond = np.zeros(())
    for radius, place, way in zip(half, begin, along, strict=True):
        square = square + (way / radius) ** 2
        middle = middle - way * (place / radius**2)
        beyond = beyond + (place / radius) ** 2
    middle = middle / square
    with np.errstate(invalid="ignore"):
        reach = np.sqrt(middle * middle - (beyond - 1) / square)
    return middle - reach, middle + reach


def _leave_shell(
    world: World,
    start: Float[np.ndarray, "world 1 1"],
    directions: Float[np.ndarray, "world row column"],
) -> Hits:
    """The sides of the shell, seen from within."""
    begin = start - np.array(world.shell.centre)[:, None, None]
    leave = np.stack(
        [_slab(*side)[1] for side in zip(world.shell.half, begin, directions, strict=True)]
    )
    axis = leave.argmin(axis=0)
    outwards = np.take_along_axis(directions, axis[None], axis=0)[0] > 0
    face = len(world.solids) + 2 * axis + outwards
    return Hits(face=face, depth=leave.min(axis=0), axis=axis)


def _meet(
    hits: Hits,
    face: int,
    solid: Solid,
    start: Float[np.ndarray, "world 1 1"],
    directions: Float[np.ndarray, "world row column"],
) -> None:
    """Enter a solid into the hits where it is the nearest so far."""
    enter, leave, axis = pierce(solid, start, directions)
    first = (enter > NEAREST) & (enter < leave) & (enter < hits.depth)
    if not first.any():
        return
    hits.face[first] = face
    hits.depth[first] = enter[first]
    hits.axis[first] = axis[first]


@dataclass(frozen=True)
class Outline:
    """Where in the image a solid can appear.

    Attributes:
        face: As in `Hits`.
        nearest: No point of the solid has a smaller depth.
        seen: Rows and columns.
    """

    face: int
    nearest: float
    seen: tuple[slice, slice]


def _outlines(world: World, camera: Camera, size: tuple[int, ...]) -> Iterator[Outline]:
    """The solids that can be in view."""
    seen_from = corners_of(world.solids) - np.array(world.view.position)
    right, down, ahead = np.moveaxis(seen_from @ camera_axes(world.view).T, -1, 0)
    nearest, in_front = ahead.min(axis=1), np.maximum(ahead, NEAREST)
    top, bottom = _span(camera.cy + camera.fy * down / in_front, size[0])
    left, end = _span(camera.cx + camera.fx * right / in_front, size[1])
    beside = nearest < NEAREST  # a corner behind the camera has no place in the image
    top[beside] = left[beside] = 0
    bottom[beside], end[beside] = size
    visible = (top < bottom) & (left < end) & (ahead.max(axis=1) > NEAREST)
    for face in np.flatnonzero(visible):
        seen = slice(top[face], bottom[face]), slice(left[face], end[face])
        yield Outline(int(face), float(nearest[face]), seen)


def corners_of(solids: Sequence[Solid]) -> Float[np.ndarray, "solid corner world"]:
    """The corners of the boxes that solids are, or just fit into."""
    centre = np.array([solid.centre for solid in solids])[:, None]
    half = np.array([solid.half for solid in solids])[:, None]
    turn = np.array([solid.turn for solid in solids])[:, None]
    x, y, z = np.moveaxis(CORNERS * half, -1, 0)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.asarray(centre + np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=-1))


def _span(
    positions: Float[np.ndarray, "solid corner"], length: int
) -> tuple[Int[np.ndarray, "solid"], Int[np.ndarray, "solid"]]:
    """First pixel that each solid may cover along one axis of the image, and where it ends."""
    low, high = positions.min(axis=1), positions.max(axis=1) + 2
    return np.clip(low, 0, length).astype(int), np.clip(high, 0, length).astype(int)
