"""What rooms are made of: painted boxes.

World axes: x right, y into the room, z up; metres. Turns are radians about the vertical,
counter-clockwise as seen from above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

Triple = tuple[float, float, float]
"""A point or an extent (x, y, z), or a colour (red, green, blue) in linear light."""


@dataclass(frozen=True)
class Surface:
    """How a face looks.

    Attributes:
        pattern: A key of `surfaces.PATTERNS`.
        base: Main colour.
        accent: Colour of grain, grout, stripes or frame.
        period: Size of the pattern's repeat in metres.
        phase: Where in the pattern the face begins, so that no two faces look alike.
    """

    pattern: str
    base: Triple
    accent: Triple
    period: float
    phase: float


@dataclass(frozen=True)
class Box:
    """A solid with six faces, upright, turned about the vertical.

    Attributes:
        label: One of `NYU13_CLASSES`.
        half: Half of its extent along its own axes.
    """

    label: str
    surface: Surface
    centre: Triple
    half: Triple
    turn: float = 0.0


@dataclass(frozen=True)
class Piece:
    """Boxes that are moved as one, with the ground they need.

    Its own frame: the back lies along y = 0, the front looks along +y, the middle is x = 0.
    """

    boxes: tuple[Box, ...]
    width: float
    depth: float
    height: float


def block(label: str, surface: Surface, low: Triple, high: Triple) -> Box:
    """The box between two opposite corners."""
    middle = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2
    half = (high[0] - low[0]) / 2, (high[1] - low[1]) / 2, (high[2] - low[2]) / 2
    return Box(label, surface, middle, half)


def move(boxes: Iterable[Box], *, to: Triple, turn: float = 0.0) -> tuple[Box, ...]:
    """Boxes turned about the origin, then shifted.

    Example:
        >>> paint = Surface("plain", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 1.0, 0.0)
        >>> box = Box("table", paint, (1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        >>> (box,) = move([box], to=(0.0, 5.0, 0.0), turn=math.pi / 2)
        >>> [round(value, 6) for value in box.centre]
        [0.0, 6.0, 0.0]
    """
    cosine, sine = math.cos(turn), math.sin(turn)
    moved = []
    for box in boxes:
        x, y, z = box.centre
        centre = (x * cosine - y * sine + to[0], x * sine + y * cosine + to[1], z + to[2])
        moved.append(replace(box, centre=centre, turn=box.turn + turn))
    return tuple(moved)
