"""What stands along a street: trees, lamps, signs, fronts of houses, walls and fences.

Each is made with its middle at the origin of the ground, its front towards -y: to oncoming eyes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from mtljobs.data.rendering.draws import Draw, between, paint, pick, shade
from mtljobs.data.rendering.shapes import Ellipsoid, Solid, Surface, Triple, block, move

GREENS: tuple[Triple, ...] = (
    (0.10, 0.17, 0.04), (0.07, 0.13, 0.04), (0.15, 0.20, 0.05), (0.12, 0.15, 0.07),
)  # fmt: skip
BARK: Triple = (0.10, 0.08, 0.06)
STEEL: Triple = (0.22, 0.23, 0.23)
PLASTERS: tuple[Triple, ...] = (
    (0.62, 0.55, 0.40), (0.55, 0.50, 0.46), (0.66, 0.62, 0.55), (0.50, 0.32, 0.22),
    (0.42, 0.40, 0.38), (0.60, 0.46, 0.36), (0.36, 0.18, 0.12),
)  # fmt: skip
AWNINGS: tuple[Triple, ...] = (
    (0.45, 0.05, 0.05), (0.05, 0.20, 0.35), (0.60, 0.45, 0.08), (0.10, 0.25, 0.12),
    (0.65, 0.62, 0.58),
)  # fmt: skip
MASONRY: tuple[Triple, ...] = ((0.38, 0.36, 0.33), (0.30, 0.15, 0.10), (0.45, 0.43, 0.40))
RAILINGS: tuple[Triple, ...] = ((0.05, 0.09, 0.07), (0.30, 0.20, 0.12), (0.55, 0.55, 0.53))
SIGNS: tuple[tuple[Triple, Triple], ...] = (
    ((0.80, 0.80, 0.78), (0.60, 0.03, 0.03)),
    ((0.03, 0.12, 0.50), (0.75, 0.75, 0.75)),
    ((0.60, 0.03, 0.03), (0.80, 0.80, 0.78)),
    ((0.80, 0.62, 0.04), (0.80, 0.80, 0.78)),
)  # fmt: skip
"""Colours (face, rim or mark) of signs."""


def foliage(draw: Draw) -> Surface:
    """Leaves in light and shade."""
    green = pick(draw, GREENS, spread=0.25)
    return paint(draw, "leaves", shade(green, 1.5), accent=shade(green, 0.35), period=1.0)


def tree(draw: Draw) -> tuple[Solid, ...]:
    """A trunk and a crown of two or three clumps."""
    trunk, wide = between(draw, 1.8, 3.2), between(draw, 1.2, 2.4)
    high, leaves = between(draw, 0.9, 1.4) * wide, foliage(draw)
    bark = paint(draw, "plain", BARK, accent=BARK, period=1.0)
    thick = 0.07 * wide
    low = trunk + 0.7 * high
    solids: list[Solid] = [
        block("vegetation", bark, (-thick, -thick, 0.0), (thick, thick, low)),
        Ellipsoid("vegetation", leaves, (0.0, 0.0, low + 0.2 * high), (wide, wide, high)),
    ]
    for _ in range(int(draw.integers(1, 3))):
        turn, out = between(draw, -math.pi, math.pi), between(draw, 0.35, 0.65) * wide
        centre = out * math.cos(turn), out * math.sin(turn), low + between(draw, 0.0, 0.8) * high
        half = 0.75 * wide, 0.75 * wide, 0.7 * high
        solids.append(Ellipsoid("vegetation", leaves, centre, half))
    return tuple(solids)


def bush(draw: Draw) -> tuple[Solid, ...]:
    """A round shrub."""
    wide, high = between(draw, 0.6, 1.6), between(draw, 0.7, 1.5)
    return (Ellipsoid("vegetation", foliage(draw), (0.0, 0.0, 0.6 * high), (wide, wide, high)),)


def pole(draw: Draw, *, height: float, thick: float) -> Solid:
    """A post of steel."""
    steel = paint(draw, "plain", shade(STEEL, between(draw, 0.5, 1.4)), accent=STEEL, period=1.0)
    return block("pole", steel, (-thick, -thick, 0.0), (thick, thick, height))


def street_lamp(draw: Draw, *, side: int) -> tuple[Solid, ...]:
    """A tall post on one side of a road (-1 left, 1 right), with an arm over it."""
    height, reach = between(draw, 6.0, 9.0), between(draw, 1.0, 2.0)
    post = pole(draw, height=height, thick=0.09)
    low, top = (-0.5 * reach, -0.08, height - 0.16), (0.5 * reach, 0.08, height)
    arm = block("pole", post.surface, low, top)
    return post, *move([arm], to=(-0.5 * side * reach, 0.0, 0.0))


def traffic_light(draw: Draw) -> tuple[Solid, ...]:
    """A post with a case of three lamps."""
    case = paint(draw, "signal", (0.03, 0.03, 0.03), accent=STEEL, period=1.0)
    low = between(draw, 2.3, 2.8)
    lamps = block("traffic light", case, (-0.2, -0.32, low), (0.2, -0.1, low + 1.05))
    return pole(draw, height=low + 1.1, thick=0.07), lamps


def traffic_sign(draw: Draw) -> tuple[Solid, ...]:
    """A post with a disc or a board."""
    face, mark = SIGNS[int(draw.integers(len(SIGNS)))]
    height = between(draw, 2.2, 2.9)
    post = pole(draw, height=height, thick=0.04)
    if draw.random() < 0.6:
        disc = paint(draw, "sign", face, accent=mark, period=1.0)
        return post, Ellipsoid("traffic sign", disc, (0.0, -0.1, height), (0.36, 0.03, 0.36))
    half, high = between(draw, 0.3, 0.8), between(draw, 0.25, 0.45)
    panel = paint(draw, "board", face, accent=mark, period=0.3)
    low, top = (-half, -0.12, height - high), (half, -0.08, height + high)
    return post, block("traffic sign", panel, low, top)


def building(draw: Draw, *, width: float) -> tuple[Solid, ...]:
    """A block of flats above shops, 12 m deep; some have a set-back storey on top."""
    storeys, half = int(draw.integers(3, 7)), width / 2
    height = 3.0 * storeys + between(draw, 0.2, 0.9)
    front = paint(
        draw, "facade", pick(draw, PLASTERS), accent=pick(draw, AWNINGS),
        period=between(draw, 2.2, 3.6),
    )  # fmt: skip
    solids = [block("building", front, (-half, 0.0, 0.0), (half, 12.0, height))]
    if draw.random() < 0.6:
        slate = pick(draw, ((0.14, 0.13, 0.14), (0.28, 0.12, 0.08)))
        roof = paint(draw, "plain", slate, accent=slate, period=1.0)
        low, top = (-half, 1.5, height), (half, 12.0, height + between(draw, 1.5, 3.0))
        solids.append(block("building", roof, low, top))
    return tuple(solids)


def house(draw: Draw, *, width: float) -> tuple[Solid, ...]:
    """A house of one or two storeys under a steep roof, narrower than its plot."""
    half, height = 0.35 * width, 3.0 * int(draw.integers(1, 3)) + 0.4
    front = paint(
        draw, "house", pick(draw, PLASTERS), accent=pick(draw, AWNINGS),
        period=between(draw, 2.4, 3.4),
    )  # fmt: skip
    tiles = pick(draw, ((0.30, 0.10, 0.06), (0.14, 0.13, 0.14), (0.24, 0.14, 0.10)))
    roof = paint(draw, "bricks", tiles, accent=shade(tiles, 0.7), period=0.3)
    solids = [block("building", front, (-half, 0.0, 0.0), (half, 8.0, height))]
    for step in range(3):  # a roof that narrows in three steps
        low, top = height + 0.9 * step, height + 0.9 * (step + 1)
        inset = 1.25 * step - 0.4
        corners = (-half - 0.3, inset, low), (half + 0.3, 8.0 - inset, top)
        solids.append(block("building", roof, *corners))
    return tuple(solids)


def wall(draw: Draw, *, width: float) -> tuple[Solid, ...]:
    """A wall of bricks or concrete."""
    stone = pick(draw, MASONRY)
    course = between(draw, 0.12, 0.5)
    masonry = paint(draw, "bricks", stone, accent=shade(stone, 1.4), period=course)
    height = between(draw, 1.4, 3.2)
    return (block("wall", masonry, (-width / 2, 0.0, 0.0), (width / 2, 0.25, height)),)


def fence(draw: Draw, *, width: float) -> tuple[Solid, ...]:
    """A fence of bars or boards."""
    colour = pick(draw, RAILINGS)
    bars = paint(
        draw, "railing", colour, accent=shade(colour, 0.3), period=between(draw, 0.15, 0.4)
    )
    height = between(draw, 0.9, 1.9)
    return (block("fence", bars, (-width / 2, 0.0, 0.0), (width / 2, 0.06, height)),)


def hedge(draw: Draw, *, width: float) -> tuple[Solid, ...]:
    """A clipped hedge."""
    height = between(draw, 0.9, 2.0)
    low, top = (-width / 2, 0.0, 0.0), (width / 2, 0.8, height)
    return (block("vegetation", foliage(draw), low, top),)


BOUNDARIES: Mapping[str, Callable[..., tuple[Solid, ...]]] = {
    "wall": wall, "fence": fence, "hedge": hedge,
}  # fmt: skip
"""What may stand between a pavement and what lies behind it."""
