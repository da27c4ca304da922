"""What scenes are made of: painted boxes and ellipsoids.

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
        pattern: A key of `Look.painters`.
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
        label: A class name of the data set.
        half: Half of its extent along its own axes.
    """

    label: str
    surface: Surface
    centre: Triple
    half: Triple
    turn: float = 0.0


@dataclass(frozen=True)
class Ellipsoid:
    """A solid without edges, upright, turned about the vertical; attributes as of a `Box`."""

    label: str
    surface: Surface
    centre: Triple
    half: Triple
    turn: float = 0.0


Solid = Box | Ellipsoid


@dataclass(frozen=True)
class Piece:
    """Solids that are moved as one, with the ground they need.

    Its own frame: the back lies along y = 0, the front looks along +y, the middle is x = 0.
    """

    solids: tuple[Solid, ...]
    width: float
    depth: float
    height: float


def block(label: str, surface: Surface, low: Triple, high: Triple) -> Box:
    """The box between two opposite corners."""
    middle = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2
    half = (high[0] - low[0]) / 2, (high[1] - low[1]) / 2, (high[2] - low[2]) / 2
    return Box(label, surface, middle, half)


def move(solids: Iterable[Solid], *, to: Triple, turn: float = 0.0) -> tuple[Solid, ...]:
    """Solids turned about the origin, then shifted.

    Example:
        >>> paint = Surface("plain", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 1.0, 0.0)
        >>> box = Box("table", paint, (1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        >>> (box,) = move([box], to=(0.0, 5.0, 0.0), turn=math.pi / 2)
        >>> [round(value, 6) for value in box.centre]
        [0.0, 6.0, 0.0]
    """
    cosine, sine = math.cos(turn), math.sin(turn)
    moved = []
    for solid in solids:
        x, y, z = solid.centre
        centre = (x * cosine - y * sine + to[0], x * sine + y * cosine + to[1], z + to[2])
        moved.append(replace(solid, centre=centre, turn=solid.turn + turn))
    return tuple(moved)


@dataclass(frozen=True)
class View:
    """Where the camera stands and looks.

    Attributes:
        yaw: Radians, counter-clockwise from +y as seen from above.
        pitch: Radians below the horizon.
    """

    position: Triple
    yaw: float
    pitch: float


@dataclass(frozen=True)
class World:
    """Everything that a ray of the camera can meet.

    Attributes:
        shell: A box around it all, seen from within: behind everything else, every ray meets it.
        sides: Surfaces of the shell's left, right, near and far side, its floor and its top.
        side_labels: Class names of the sides.
    """

    shell: Box
    sides: tuple[Surface, Surface, Surface, Surface, Surface, Surface]
    side_labels: tuple[str, str, str, str, str, str]
    solids: tuple[Solid, ...]
    view: View

    @property
    def labels(self) -> tuple[str, ...]:
        """Class name of every face that `Hits` may name: the solids, then the sides."""
        return (*[solid.label for solid in self.solids], *self.side_labels)
