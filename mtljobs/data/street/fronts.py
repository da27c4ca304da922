"""What lines a street on either side, plot after plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from mtljobs.data.rendering.draws import Draw, between
from mtljobs.data.rendering.shapes import Solid, block, move
from mtljobs.data.street import roadside
from mtljobs.data.street.ground import END_M, Plan

DETAILED_M = 80.0
"""Metres along the street behind which both sides are lined by one long block each."""

NARROWEST_M = 3.0
"""Width below which a plot before a corner stays empty."""

Plot = Callable[[Draw, float], Iterable[Solid]]
"""Makes a plot of a given width; its front lies along y = 0 and looks towards -y."""


def town(draw: Draw, width: float) -> Iterable[Solid]:
    """A block of flats, or now and then a gap behind a wall or a fence."""
    if draw.random() < 0.85:
        return roadside.building(draw, width=width)
    return (*_boundary(draw, width), *_trees(draw, width, count=1, near=3.0, far=9.0))


def suburb(draw: Draw, width: float) -> Iterable[Solid]:
    """A house behind its garden."""
    back = between(draw, 3.0, 8.0)
    home = move(roadside.house(draw, width=width), to=(0.0, back, 0.0))
    return (*_boundary(draw, width), *home, *_trees(draw, width, count=1, near=1.5, far=back + 2))


def park(draw: Draw, width: float) -> Iterable[Solid]:
    """Grass with trees and shrubs."""
    solids = list(_trees(draw, width, count=2, near=1.5, far=16.0))
    if draw.random() < 0.5:
        solids += move(
            roadside.bush(draw), to=(between(draw, -0.5, 0.5) * width, between(draw, 1, 4), 0.0)
        )
    return solids


def enclosed(draw: Draw, width: float) -> Iterable[Solid]:
    """A long wall or fence with trees, or the back of a hall, behind it."""
    boundary = roadside.wall if draw.random() < 0.65 else roadside.fence
    behind = _trees(draw, width, count=1, near=2.0, far=6.0)
    if draw.random() < 0.4:
        behind = move(roadside.building(draw, width=0.8 * width), to=(0.0, 6.0, 0.0))
    return (*boundary(draw, width=width), *behind)


KINDS: Mapping[str, tuple[Plot, float]] = {
    "town": (town, 0.55),
    "suburb": (suburb, 0.2),
    "park": (park, 0.14),
    "enclosed": (enclosed, 0.11),
}
"""What a side may be lined with, and how often it is."""


def fronts(draw: Draw, street: Plan) -> list[Solid]:
    """Both sides of a street, each of one kind, and what closes it at the far end."""
    solids: list[Solid] = []
    shares = [share for _, share in KINDS.values()]
    for side in (-1, 1):
        kind = str(draw.choice(list(KINDS), p=shares))
        plot, _ = KINDS[kind]
        at = between(draw, 1.0, 6.0)
        while at < DETAILED_M:
            end = at + between(draw, 10.0, 22.0)
            corner = at < street.gap[0] < end
            if corner:
                end = street.gap[0]
            if end - at > NARROWEST_M:
                solids += _beside(plot(draw, end - at), street, side=side, y=(at + end) / 2)
            at = street.gap[1] if corner else end
        solids += _beside(_far(draw, kind), street, side=side, y=DETAILED_M + 70.0)
    if draw.random() < 0.6:
        solids += _end(draw)
    return solids


def _beside(solids: Iterable[Solid], street: Plan, *, side: int, y: float) -> tuple[Solid, ...]:
    """A plot moved to one side (-1 left, 1 right), its front towards the street."""
    return move(solids, to=(side * street.front, y, 0.0), turn=-side * math.pi / 2)


def _far(draw: Draw, kind: str) -> tuple[Solid, ...]:
    """One long block where nobody can tell houses or trees apart."""
    if kind in ("town", "enclosed"):
        return roadside.building(draw, width=100.0)
    low, high = (-50.0, 3.0, 0.0), (50.0, 20.0, between(draw, 4.0, 9.0))
    return (block("vegetation", roadside.foliage(draw), low, high),)


def _end(draw: Draw) -> tuple[Solid, ...]:
    """Where the street bends away: houses or trees across it."""
    width, y = 140.0, between(draw, 90.0, 0.8 * END_M)
    if draw.random() < 0.5:
        return move(roadside.building(draw, width=width), to=(0.0, y, 0.0))
    low, high = (-width, 0.0, 0.0), (width, 10.0, between(draw, 4.0, 12.0))
    return move([block("vegetation", roadside.foliage(draw), low, high)], to=(0.0, y, 0.0))


def _boundary(draw: Draw, width: float) -> tuple[Solid, ...]:
    kind = str(draw.choice(["none", *roadside.BOUNDARIES]))
    return () if kind == "none" else roadside.BOUNDARIES[kind](draw, width=width)


def _trees(draw: Draw, width: float, *, count: int, near: float, far: float) -> tuple[Solid, ...]:
    """Up to `count` trees between two distances behind the front."""
    solids: tuple[Solid, ...] = ()
    for _ in range(int(draw.integers(count + 1))):
        at = between(draw, -0.5, 0.5) * width, between(draw, near, far), 0.0
        solids += move(roadside.tree(draw), to=at)
    return solids
