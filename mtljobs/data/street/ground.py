"""The ground of a street: roadway, crossings, pavements, verges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtljobs.data.rendering.draws import Draw, between, paint, pick, shade
from mtljobs.data.rendering.shapes import Box, Surface, Triple, block

START_M, END_M = 1.0, 400.0
"""Where the street begins, before all that the camera sees, and where it ends."""

KERB_M = 0.12
"""Height of everything beside the roadway."""

WIDE_M = 90.0
"""Metres from the middle of the street to where nothing of it is seen any more."""

PARKING_M = 2.2

TARS: tuple[Triple, ...] = ((0.11, 0.11, 0.12), (0.15, 0.15, 0.15), (0.20, 0.19, 0.18))
SLABS: tuple[Triple, ...] = ((0.34, 0.32, 0.30), (0.28, 0.27, 0.27), (0.38, 0.31, 0.27))
MEADOWS: tuple[Triple, ...] = ((0.16, 0.24, 0.06), (0.20, 0.24, 0.08), (0.12, 0.20, 0.06))
EARTH: Triple = (0.30, 0.24, 0.14)
WHITE: Triple = (0.70, 0.70, 0.68)


Span = tuple[float, float]
"""Where something begins and ends along y."""


@dataclass(frozen=True)
class Plan:
    """A straight street along y, its middle at x = 0.

    Attributes:
        lane: Width of a lane; there is one in each direction.
        parking: Width of the strip along each kerb; cars park on it if it is `PARKING_M` wide.
        walk: Width of each pavement.
        verge: Width of the grass between each kerb and its pavement; 0 without.
        junction: A road that crosses.
        zebra: A pedestrian crossing.
    """

    lane: float
    parking: float
    walk: float
    verge: float
    junction: Span | None
    zebra: Span | None

    @property
    def kerb(self) -> float:
        """Metres from the middle to the kerb."""
        return self.lane + self.parking

    @property
    def front(self) -> float:
        """Metres from the middle to where the pavement ends."""
        return self.kerb + self.verge + self.walk

    @property
    def gap(self) -> Span:
        """Where nothing stands beside the road; beyond its end without a junction."""
        return self.junction or (END_M, END_M)

    def is_open(self, y: float, *, margin: float) -> bool:
        """Whether y lies in the gap, or nearly so."""
        return self.gap[0] - margin < y < self.gap[1] + margin


def plan(draw: Draw) -> Plan:
    """A street drawn at random."""
    junction = zebra = None
    if draw.random() < 0.5:
        low = between(draw, 16.0, 60.0)
        junction = low, low + between(draw, 7.0, 12.0)
        zebra = (low - 4.5, low - 1.5) if draw.random() < 0.6 else None
    elif draw.random() < 0.25:
        low = between(draw, 9.0, 40.0)
        zebra = low, low + 3.0
    return Plan(
        lane=between(draw, 3.1, 3.9),
        parking=PARKING_M if draw.random() < 0.55 else between(draw, 0.2, 0.6),
        walk=between(draw, 1.8, 3.6),
        verge=between(draw, 1.0, 2.5) if draw.random() < 0.25 else 0.0,
        junction=junction,
        zebra=zebra,
    )


def meadow(draw: Draw) -> Surface:
    """Grass, with bare earth here and there."""
    return paint(draw, "grass", pick(draw, MEADOWS), accent=EARTH, period=1.0)


def ground(draw: Draw, street: Plan) -> list[Box]:
    """Flat boxes: the roadway's top at z = 0, all that lies beside it a kerb higher."""
    slabs = pick(draw, SLABS)
    walk = paint(draw, "paving", slabs, accent=shade(slabs, 0.5), period=between(draw, 0.3, 0.9))
    boxes = _roadway(draw, street)
    for span in _beside(street):
        inner = street.kerb + street.verge
        boxes += _strip("sidewalk", walk, span, inner=inner, outer=street.front)
        boxes += _strip("terrain", meadow(draw), span, inner=street.front, outer=WIDE_M)
        if street.verge:
            boxes += _strip("terrain", meadow(draw), span, inner=street.kerb, outer=inner)
    return boxes


def _roadway(draw: Draw, street: Plan) -> list[Box]:
    tar = pick(draw, TARS)
    road = paint(draw, "asphalt", tar, accent=WHITE, period=street.parking)
    bare = paint(draw, "plain", tar, accent=tar, period=1.0)
    bars = paint(draw, "zebra", tar, accent=WHITE, period=1.0)
    boxes = []
    for span, surface in _cut(street, road=road, zebra=bars, junction=bare):
        wide = WIDE_M if span == street.junction else street.kerb
        boxes.append(block("road", surface, (-wide, span[0], -0.4), (wide, span[1], 0.0)))
    return boxes


def _cut(
    street: Plan, *, road: Surface, zebra: Surface, junction: Surface
) -> Iterator[tuple[Span, Surface]]:
    """The roadway cut across: plain stretches, and what lies between them."""
    at = START_M
    for span, surface in ((street.zebra, zebra), (street.junction, junction)):
        if span is None:
            continue
        if at < span[0]:
            yield (at, span[0]), road
        yield span, surface
        at = span[1]
    yield (at, END_M), road


def _beside(street: Plan) -> tuple[Span, ...]:
    """Where the ground beside the road is not another road, along y."""
    if street.junction is None:
        return ((START_M, END_M),)
    return (START_M, street.junction[0]), (street.junction[1], END_M)


def _strip(label: str, surface: Surface, span: Span, *, inner: float, outer: float) -> list[Box]:
    """On either side, the ground between two distances from the middle of the street."""
    return [
        block(label, surface, (low, span[0], -0.4), (high, span[1], KERB_M))
        for low, high in ((-outer, -inner), (inner, outer))
    ]
