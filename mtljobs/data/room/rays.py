"""The first face that each ray of the camera meets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.room.scene import Scene, View
from mtljobs.data.room.shapes import Box

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NEAREST = 1e-3
"""Metres; a face closer to a ray's start is the one that it starts from."""

CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
"""Of a box, in units of `Box.half`."""


@dataclass
class Hits:
    """The first face that each pixel's ray meets.

    Attributes:
        face: Position in `Scene.boxes`, or behind them in `Scene.shell`.
        depth: Metres along the optical axis.
        axis: The box's own axis that the face is perpendicular to.
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


def cast(scene: Scene, camera: Camera, directions: Float[np.ndarray, "world row column"]) -> Hits:
    """Send a ray through every pixel.

    Args:
        directions: In the world's axes, of depth 1.
    """
    start = np.array(scene.view.position)[:, None, None]
    hits = _leave_room(scene, start, directions)
    for face, seen in _outlines(scene, camera, directions.shape[1:]):
        _meet(hits.part(seen), face, scene.boxes[face], start, directions[:, *seen])
    return hits


def own_axes(
    box: Box, vectors: Float[np.ndarray, "world row column"]
) -> Float[np.ndarray, "own row column"]:
    """World vectors along a box's own axes."""
    cosine, sine = math.cos(box.turn), math.sin(box.turn)
    x, y, z = vectors
    return np.stack([x * cosine + y * sine, y * cosine - x * sine, z])


def crossings(
    box: Box,
    start: Float[np.ndarray, "world #row #column"],
    direction: Float[np.ndarray, "world row column"],
) -> tuple[Float[np.ndarray, "own row column"], Float[np.ndarray, "own row column"]]:
    """Where rays enter and leave the slab between each pair of a box's faces.

    Returns:
        Distances in units of the direction. A ray is inside the box from the last slab that it
        enters to the first that it leaves.

    Source:
        Kay and Kajiya, Ray Tracing Complex Scenes (SIGGRAPH 1986), section 3.
    """
    half = np.array(box.half)[:, None, None]
    begin = own_axes(box, start - np.array(box.centre)[:, None, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / own_axes(box, direction)
        one, other = (-half - begin) * inverse, (half - begin) * inverse
    return np.fmin(one, other), np.fmax(one, other)


def _leave_room(
    scene: Scene,
    start: Float[np.ndarray, "world 1 1"],
    directions: Float[np.ndarray, "world row column"],
) -> Hits:
    """The empty room's walls, floor and ceiling, seen from within."""
    _, leave = crossings(scene.room, start, directions)
    axis = leave.argmin(axis=0)
    outwards = np.take_along_axis(directions, axis[None], axis=0)[0] > 0
    face = len(scene.boxes) + 2 * axis + outwards
    return Hits(face=face, depth=leave.min(axis=0), axis=axis)


def _meet(
    hits: Hits,
    face: int,
    box: Box,
    start: Float[np.ndarray, "world 1 1"],
    directions: Float[np.ndarray, "world row column"],
) -> None:
    """Enter a box into the hits where it is the nearest so far."""
    enter, leave = crossings(box, start, directions)
    depth = enter.max(axis=0)
    first = (depth > NEAREST) & (depth < leave.min(axis=0)) & (depth < hits.depth)
    hits.face[first] = face
    hits.depth[first] = depth[first]
    hits.axis[first] = enter.argmax(axis=0)[first]


def _outlines(
    scene: Scene, camera: Camera, size: tuple[int, ...]
) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """The boxes that can be in view, each with the rows and columns that it can appear in."""
    centre = np.array([box.centre for box in scene.boxes])[:, None]
    half = np.array([box.half for box in scene.boxes])[:, None]
    turn = np.array([box.turn for box in scene.boxes])[:, None]
    x, y, z = np.moveaxis(CORNERS * half, -1, 0)
    cosine, sine = np.cos(turn), np.sin(turn)
    corners = centre + np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=-1)
    seen_from = corners - scene.view.position
    right, down, ahead = np.moveaxis(seen_from @ camera_axes(scene.view).T, -1, 0)
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
