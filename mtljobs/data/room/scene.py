"""A room with everything in it, drawn at random: what stands where, who looks, what shines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mtljobs.data.rendering.draws import Draw, between, paint, pick, shade
from mtljobs.data.rendering.shapes import Box, Piece, Surface, Triple, View, World
from mtljobs.data.room import furniture
from mtljobs.data.room.furniture import BLACK
from mtljobs.data.room.layout import Layout

Maker = Callable[[Draw], Piece]

WALLS: tuple[Triple, ...] = (
    (0.68, 0.62, 0.46), (0.60, 0.64, 0.48), (0.70, 0.56, 0.44), (0.66, 0.64, 0.57),
    (0.52, 0.58, 0.54),
)  # fmt: skip
BOARDS: tuple[Triple, ...] = ((0.40, 0.26, 0.14), (0.48, 0.32, 0.19), (0.32, 0.20, 0.12))
CARPETS: tuple[Triple, ...] = (
    (0.32, 0.25, 0.20), (0.24, 0.24, 0.27), (0.34, 0.31, 0.25), (0.20, 0.12, 0.10),
)  # fmt: skip
STONES: tuple[Triple, ...] = ((0.50, 0.47, 0.43), (0.36, 0.34, 0.33), (0.52, 0.37, 0.28))

SIDE_LABELS = ("wall", "wall", "wall", "wall", "floor", "ceiling")
"""Class names of the empty room, in the order of `World.sides`."""


@dataclass(frozen=True)
class Furnishing:
    """What belongs into a kind of room: against its walls, and free on its floor."""

    against: tuple[Maker, ...]
    free: tuple[Maker, ...]


KINDS: Mapping[str, Furnishing] = {
    "bedroom": Furnishing(
        against=(furniture.bed, furniture.cupboard, furniture.tv_stand, furniture.bookshelf),
        free=(furniture.chair, furniture.carton),
    ),
    "living room": Furnishing(
        against=(furniture.sofa, furniture.tv_stand, furniture.bookshelf, furniture.cupboard),
        free=(furniture.coffee_table, furniture.chair, furniture.carton),
    ),
    "study": Furnishing(
        against=(furniture.dining_table, furniture.bookshelf, furniture.sofa, furniture.cupboard),
        free=(furniture.chair, furniture.chair, furniture.carton, furniture.carton),
    ),
    "dining room": Furnishing(
        against=(furniture.cupboard, furniture.sofa, furniture.tv_stand),
        free=(furniture.dining_table, furniture.chair, furniture.chair, furniture.chair),
    ),
    "studio": Furnishing(
        against=(furniture.bed, furniture.sofa, furniture.bookshelf, furniture.dining_table),
        free=(furniture.chair, furniture.carton, furniture.carton),
    ),
}


@dataclass(frozen=True)
class Light:
    """A small bright thing, and the light that it sends to a face 1 m away."""

    position: Triple
    colour: Triple


@dataclass(frozen=True)
class Scene:
    """Everything that a picture depends on, sensor noise apart.

    Attributes:
        world: The empty room, the furniture in it, what hangs on the walls, who looks.
        lamp: Under the ceiling; casts shadows.
        daylight: At the middle of a window; its shadows are too soft to see.
        ambient: Light from everywhere.
    """

    world: World
    lamp: Light
    daylight: Light
    ambient: float


def furnish(draw: Draw) -> Scene:
    """A room drawn at random, furnished as one of `KINDS`."""
    half_width, depth = between(draw, 1.4, 2.3), between(draw, 2.6, 6.4)
    height = between(draw, 2.3, 2.9)
    view = _view(draw, half_width, depth)
    layout = Layout(half_width=half_width, depth=depth, camera=view.position)
    furnishing = KINDS[str(draw.choice(list(KINDS)))]
    for maker in furnishing.against:
        layout.stand(draw, maker(draw))
    for maker in furnishing.free:
        layout.scatter(draw, maker(draw))
    daylight = _decorate(draw, layout)
    sides = _sides(draw)
    warmth, strength = between(draw, 0.75, 1.0), between(draw, 1.3, 2.6)
    room = Box("wall", sides[3], (0.0, depth / 2, height / 2), (half_width, depth / 2, height / 2))
    return Scene(
        world=World(room, sides, SIDE_LABELS, tuple(layout.solids), view),
        lamp=Light(
            (between(draw, -0.8, 0.8), depth * between(draw, 0.3, 0.7), height - 0.35),
            (strength, strength * (0.5 + 0.5 * warmth), strength * warmth),
        ),
        daylight=daylight,
        ambient=between(draw, 0.22, 0.45),
    )


def _view(draw: Draw, half_width: float, depth: float) -> View:
    """Somebody near one end of the room who looks at the other, a little down."""
    x, y = between(draw, -0.6, 0.6) * half_width, between(draw, 0.15, 0.8)
    target = between(draw, -0.7, 0.7) * half_width
    return View(
        position=(x, y, between(draw, 1.2, 1.8)),
        yaw=math.atan2(x - target, depth - y),
        pitch=between(draw, 0.08, 0.42),
    )


def _decorate(draw: Draw, layout: Layout) -> Light:
    """Hang windows, pictures and sometimes a television; returns the daylight."""
    daylight = Light((0.0, 0.0, 1.5), (0.0, 0.0, 0.0))
    for _ in range(int(draw.integers(1, 3))):
        glass = furniture.window(draw)
        place = layout.hang(draw, glass, height=between(draw, 1.4, 1.65))
        if place is not None:
            strength = between(draw, 0.3, 1.2)
            daylight = Light(place, (0.8 * strength, 0.95 * strength, 1.1 * strength))
    if draw.random() < 0.2:
        layout.hang(draw, furniture.television(draw), height=between(draw, 0.9, 1.1))
    for _ in range(int(draw.integers(1, 5))):
        layout.hang(draw, furniture.picture(draw), height=between(draw, 1.4, 1.8))
    return daylight


def _sides(draw: Draw) -> tuple[Surface, Surface, Surface, Surface, Surface, Surface]:
    colour = pick(draw, WALLS)
    pattern = "stripes" if draw.random() < 0.2 else "plain"
    period = between(draw, 0.15, 0.4)
    side = paint(draw, pattern, colour, accent=shade(colour, 0.85), period=period)
    far = side
    if draw.random() < 0.25:
        accent = pick(draw, WALLS)
        far = paint(draw, "plain", accent, accent=accent, period=period)
    white = pick(draw, ((0.82, 0.82, 0.80),), spread=0.08)
    ceiling = paint(draw, "plain", white, accent=white, period=1.0)
    return side, side, side, far, _floor(draw), ceiling


def _floor(draw: Draw) -> Surface:
    kind = draw.random()
    if kind < 0.45:
        base = pick(draw, BOARDS)
        return paint(draw, "planks", base, accent=shade(base, 0.4), period=between(draw, 0.1, 0.18))
    if kind < 0.7:
        base, grout = pick(draw, STONES), shade(BLACK, 8.0)
        return paint(draw, "tiles", base, accent=grout, period=between(draw, 0.3, 0.5))
    base = pick(draw, CARPETS)
    return paint(draw, "carpet", base, accent=base, period=1.0)
