"""The first face that each ray of the camera meets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.shapes import Box, Ellipsoid, Solid, View, World

if TYPE_CHECKING:
    from jaxtyping import Float, Int

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
    for face, seen in _outlines(world, camera, directions.shape[1:]):
        _meet(hits.part(seen), face, world.solids[face], start, directions[:, *seen])
    return hits


def own_axes(
    solid: Solid, vectors: Float[np.ndarray, "world row column"]
) -> Float[np.ndarray, "own row column"]:
    """World vectors along a solid's own axes."""
    cosine, sine = math.cos(solid.turn), math.sin(solid.turn)
    x, y, z = vectors
    return np.stack([x * cosine + y * sine, y * cosine - x * sine, z])


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
    if isinstance(solid, Ellipsoid):
        enter, leave = _pierce_ellipsoid(solid, start, direction)
        return enter, leave, np.full(enter.shape, ROUND)
    enters, leaves = _slabs(solid, start, direction)
    return enters.max(axis=0), leaves.min(axis=0), enters.argmax(axis=0)


def _slabs(
    box: Box,
    start: Float[np.ndarray, "world #row #column"],
    direction: Float[np.ndarray, "world row column"],
) -> tuple[Float[np.ndarray, "own row column"], Float[np.ndarray, "own row column"]]:
    """Where rays enter and leave the slab between each pair of a box's faces.

    A ray is inside the box from the last slab that it enters to the first that it leaves.

    Source:
        Kay and Kajiya, Ray Tracing Complex Scenes (SIGGRAPH 1986), section 3.
    """
    half = np.array(box.half)[:, None, None]
    begin = own_axes(box, start - np.array(box.centre)[:, None, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / own_axes(box, direction)
        one, other = (-half - begin) * inverse, (half - begin) * inverse
    return np.fmin(one, other), np.fmax(one, other)


def _pierce_ellipsoid(
    ellipsoid: Ellipsoid,
    start: Float[np.ndarray, "world #row #column"],
    direction: Float[np.ndarray, "world row column"],
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "row column"]]:
    """Where rays enter and leave an ellipsoid; not a number where they miss it."""
    half = np.array(ellipsoid.half)[:, None, None]
    begin = own_axes(ellipsoid, start - np.array(ellipsoid.centre)[:, None, None]) / half
    along = own_axes(ellipsoid, direction) / half
    square = (along * along).sum(axis=0)
    middle = -(along * begin).sum(axis=0) / square
    beyond = ((begin * begin).sum(axis=0) - 1) / square
    with np.errstate(invalid="ignore"):
        reach = np.sqrt(middle * middle - beyond)
    return middle - reach, middle + reach


def _leave_shell(
    world: World,
    start: Float[np.ndarray, "world 1 1"],
    directions: Float[np.ndarray, "world row column"],
) -> Hits:
    """The sides of the shell, seen from within."""
    _, leave = _slabs(world.shell, start, directions)
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
    hits.face[first] = face
    hits.depth[first] = enter[first]
    hits.axis[first] = axis[first]


def _outlines(
    world: World, camera: Camera, size: tuple[int, ...]
) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """The solids that can be in view, each with the rows and columns that it can appear in."""
    centre = np.array([solid.centre for solid in world.solids])[:, None]
    half = np.array([solid.half for solid in world.solids])[:, None]
    turn = np.array([solid.turn for solid in world.solids])[:, None]
    x, y, z = np.moveaxis(CORNERS * half, -1, 0)
    cosine, sine = np.cos(turn), np.sin(turn)
    corners = centre + np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=-1)
    seen_from = corners - world.view.position
    right, down, ahead = np.moveaxis(seen_from @ camera_axes(world.view).T, -1, 0)
    in_front = np.maximum(ahead, NEAREST)
    rows = camera.cy + camera.fy * down / in_front
    columns = camera.cx + camera.fx * right / in_front
    for face, nearest in enumerate(ahead.min(axis=1)):
        seen = _span(rows[face], size[0]), _span(columns[face], size[1])
        if nearest < NEAREST:  # a corner behind the camera has no place in the image
            seen = slice(0, size[0]), slice(0, size[1])
        if all(span.start < span.stop for span in seen):
            yield face, seen


def _span(positions: Float[np.ndarray, "corner"], length: int) -> slice:
    low, high = np.clip([positions.min(), positions.max() + 2], 0, length)
    return slice(int(low), int(high))
