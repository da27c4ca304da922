"""Finding a free place for every piece: on the floor, along the walls, on the walls."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mtljobs.data.rendering.draws import Draw, between
from mtljobs.data.rendering.shapes import Piece, Solid, Triple, move

Rectangle = tuple[float, float, float, float]
"""(low, low, high, high): on the ground in x and y, on a wall in distance and height."""

ATTEMPTS = 12
"""Places that are tried before a piece is left out."""


@dataclass(frozen=True)
class Wall:
    """A wall to put things against.

    Attributes:
        start: (x, y) of the end that distances count from.
        along: Direction (x, y) of the wall.
        blind: Metres from the start that the camera cannot see.
        turn: Makes the back of a piece lie along the wall.
    """

    start: tuple[float, float]
    along: tuple[float, float]
    length: float
    blind: float
    turn: float

    def point(self, distance: float) -> tuple[float, float]:
        """The place so many metres from the wall's start."""
        return (
            self.start[0] + distance * self.along[0],
            self.start[1] + distance * self.along[1],
        )

    def footprint(self, piece: Piece, distance: float) -> Rectangle:
        """The ground that a piece takes with its middle at a distance; the wall's far side too."""
        x, y = self.point(distance)
        across, out = piece.width / 2, piece.depth
        half_x = abs(self.along[0]) * across + abs(self.along[1]) * out
        half_y = abs(self.along[1]) * across + abs(self.along[0]) * out
        return x - half_x, y - half_y, x + half_x, y + half_y


class Layout:
    """A room while it is being furnished.

    Attributes:
        solids: What has found a place.
    """

    def __init__(self, *, half_width: float, depth: float, camera: Triple) -> None:
        """An empty room whose ground around the camera stays free.

        Args:
            half_width: The room reaches from -half_width to half_width along x.
            depth: The room reaches from 0 to depth along y.
            camera: Position; the camera looks towards the wall at y = depth.
        """
        self.solids: list[Solid] = []
        self._half_width, self._depth = half_width, depth
        near = camera[1] + 0.9
        self._walls = (
            Wall((-half_width, depth), (1.0, 0.0), 2 * half_width, 0.0, math.pi),
            Wall((-half_width, 0.0), (0.0, 1.0), depth, near, -math.pi / 2),
            Wall((half_width, 0.0), (0.0, 1.0), depth, near, math.pi / 2),
        )
        x, y, _ = camera
        self._ground: list[Rectangle] = [(x - 0.5, y - 1.0, x + 0.5, y + 1.1)]
        self._taken: tuple[list[Rectangle], ...] = ([], [], [])

    def stand(self, draw: Draw, piece: Piece) -> None:
        """Put a piece against a wall."""
        for _ in range(ATTEMPTS):
            number, at = self._place_along(draw, piece.width)
            if not _claim(self._ground, self._walls[number].footprint(piece, at)):
                continue
            self._fix(piece, number, at, height=0.0)
            reach = piece.width / 2
            self._taken[number].append((at - reach, 0.0, at + reach, piece.height))
            return

    def scatter(self, draw: Draw, piece: Piece) -> None:
        """Put a piece anywhere on the floor, turned at random."""
        reach = math.hypot(piece.width, piece.depth) / 2
        for _ in range(ATTEMPTS):
            x = between(draw, -self._half_width + reach, self._half_width - reach)
            y = between(draw, 1.2, self._depth - reach)
            if not _claim(self._ground, (x - reach, y - reach, x + reach, y + reach)):
                continue
            centred = move(piece.solids, to=(0.0, -piece.depth / 2, 0.0))
            self.solids += move(centred, to=(x, y, 0.0), turn=between(draw, -math.pi, math.pi))
            return

    def hang(self, draw: Draw, piece: Piece, *, height: float) -> Triple | None:
        """Hang a piece with its middle at a height, where nothing hides it; returns where."""
        for _ in range(ATTEMPTS):
            number, at = self._place_along(draw, piece.width)
            reach, half = piece.width / 2 + 0.1, piece.height / 2
            if not _claim(
                self._taken[number], (at - reach, height - half, at + reach, height + half)
            ):
                continue
            self._fix(piece, number, at, height=height)
            return (*self._walls[number].point(at), height)
        return None

    def _place_along(self, draw: Draw, width: float) -> tuple[int, float]:
        """A wall, more often the far one, and a distance along it that leaves room for a width."""
        number = int(draw.choice(3, p=[0.5, 0.25, 0.25]))
        wall, reach = self._walls[number], width / 2 + 0.06
        low, high = wall.blind + reach, wall.length - reach
        return (number, between(draw, low, high)) if low < high else (number, wall.length / 2)

    def _fix(self, piece: Piece, number: int, at: float, *, height: float) -> None:
        wall = self._walls[number]
        self.solids += move(piece.solids, to=(*wall.point(at), height), turn=wall.turn)


def _claim(taken: list[Rectangle], wanted: Rectangle) -> bool:
    """Take a rectangle if nothing overlaps it."""
    for other in taken:
        apart_first = wanted[2] <= other[0] or other[2] <= wanted[0]
        apart_second = wanted[3] <= other[1] or other[3] <= wanted[1]
        if not (apart_first or apart_second):
            return False
    taken.append(wanted)
    return True
