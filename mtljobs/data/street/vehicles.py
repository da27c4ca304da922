"""What drives and stands on a street; each with its middle at the origin, its front towards +y."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mtljobs.data.rendering.draws import Draw, between, paint, pick, shade
from mtljobs.data.rendering.shapes import Ellipsoid, Solid, Surface, Triple, block
from mtljobs.data.street.people import rider

PAINTS: tuple[Triple, ...] = (
    (0.03, 0.03, 0.035), (0.55, 0.56, 0.58), (0.78, 0.78, 0.78), (0.22, 0.23, 0.25),
    (0.05, 0.10, 0.30), (0.42, 0.03, 0.03), (0.12, 0.20, 0.14), (0.45, 0.36, 0.22),
)  # fmt: skip
LIVERIES: tuple[Triple, ...] = (
    (0.75, 0.60, 0.05), (0.60, 0.05, 0.05), (0.80, 0.80, 0.78), (0.10, 0.25, 0.50),
)  # fmt: skip
TARPAULINS: tuple[Triple, ...] = (
    (0.80, 0.80, 0.78), (0.10, 0.22, 0.45), (0.60, 0.45, 0.10), (0.25, 0.40, 0.25),
)  # fmt: skip
TAIL_LAMP: Triple = (0.75, 0.02, 0.02)
HEAD_LAMP: Triple = (0.95, 0.95, 0.85)
RUBBER: Triple = (0.02, 0.02, 0.022)


@dataclass(frozen=True)
class Vehicle:
    """Solids that drive or park as one.

    Attributes:
        length: Metres of the lane that it takes.
    """

    solids: tuple[Solid, ...]
    length: float


def plain(draw: Draw, colour: Triple) -> Surface:
    """Paint of one colour."""
    return paint(draw, "plain", colour, accent=colour, period=1.0)


def car(draw: Draw, *, lamps: Triple) -> Vehicle:
    """A saloon, an estate car or a van."""
    half, long = between(draw, 0.85, 0.95), between(draw, 1.95, 2.4)
    waist, colour = between(draw, 0.8, 0.95), pick(draw, PAINTS)
    body = paint(draw, "bodywork", colour, accent=lamps, period=1.0)
    glass = paint(draw, "cabin", colour, accent=colour, period=1.0)
    kind = draw.random()
    back, front, top = (-0.62, 0.42, waist + 0.52)
    if kind < 0.45:  # estate car
        back, top = -0.97, waist + 0.6
    if kind < 0.12:  # van
        front, top = 0.75, waist + 1.1
    solids: tuple[Solid, ...] = (
        block("car", body, (-half, -long, 0.0), (half, long, waist)),
        block("car", glass, (0.09 - half, back * long, waist), (half - 0.09, front * long, top)),
    )
    return Vehicle(solids, 2 * long)


def truck(draw: Draw, *, lamps: Triple) -> Vehicle:
    """A lorry: chassis, cab, and a load under a tarpaulin or in a box."""
    half, long, top = between(draw, 1.15, 1.27), between(draw, 3.2, 5.0), between(draw, 3.0, 3.8)
    colour, cover = pick(draw, PAINTS), pick(draw, TARPAULINS)
    chassis = paint(draw, "bodywork", shade(colour, 0.5), accent=lamps, period=1.0)
    load = paint(draw, "stripes", cover, accent=shade(cover, 0.85), period=between(draw, 0.6, 1.5))
    cab = paint(draw, "cabin", colour, accent=colour, period=1.0)
    solids: tuple[Solid, ...] = (
        block("truck", chassis, (-half, -long, 0.0), (half, long, 1.1)),
        block("truck", load, (-half, -long, 1.1), (half, long - 2.2, top)),
        block("truck", cab, (0.08 - half, long - 2.0, 1.1), (half - 0.08, long, 2.7)),
    )
    return Vehicle(solids, 2 * long)


def bus(draw: Draw) -> Vehicle:
    """A bus for a town's lines."""
    half, long, top = 1.27, between(draw, 5.0, 6.2), between(draw, 2.9, 3.2)
    livery = paint(draw, "coach", pick(draw, LIVERIES), accent=pick(draw, LIVERIES), period=1.6)
    return Vehicle((block("bus", livery, (-half, -long, 0.0), (half, long, top)),), 2 * long)


def train(draw: Draw) -> Vehicle:
    """Two to four coupled cars on rails, as Cityscapes names trams too."""
    half, top, cars = 1.3, between(draw, 3.3, 3.7), int(draw.integers(2, 5))
    livery = paint(draw, "coach", pick(draw, LIVERIES), accent=pick(draw, LIVERIES), period=2.2)
    gap, long = 0.5, between(draw, 9.0, 12.0)
    start = -cars * long / 2
    solids = [
        block(
            "train",
            livery,
            (-half, start + number * long + gap / 2, 0.0),
            (half, start + (number + 1) * long - gap / 2, top),
        )
        for number in range(cars)
    ]
    return Vehicle(tuple(solids), cars * long)


def wheel_pair(draw: Draw, label: str, *, radius: float, thick: float, apart: float) -> list[Solid]:
    """Two wheels in line."""
    tyre = paint(draw, "wheel", RUBBER, accent=(0.30, 0.30, 0.31), period=1.0)
    half = thick, radius, radius
    return [Ellipsoid(label, tyre, (0.0, y, radius), half) for y in (-apart / 2, apart / 2)]


def bicycle(draw: Draw) -> Vehicle:
    """A bicycle that nobody rides."""
    frame = plain(draw, pick(draw, PAINTS))
    solids = [
        *wheel_pair(draw, "bicycle", radius=0.34, thick=0.04, apart=1.05),
        block("bicycle", frame, (-0.035, -0.3, 0.42), (0.035, 0.35, 0.66)),
        block("bicycle", frame, (-0.28, 0.36, 0.92), (0.28, 0.44, 1.0)),
        block("bicycle", frame, (-0.06, -0.3, 0.66), (0.06, -0.1, 0.95)),
    ]
    return Vehicle(tuple(solids), 1.8)


def motorcycle(draw: Draw) -> Vehicle:
    """A motorcycle that nobody rides."""
    metal, seat = plain(draw, pick(draw, PAINTS)), plain(draw, RUBBER)
    solids = [
        *wheel_pair(draw, "motorcycle", radius=0.33, thick=0.1, apart=1.35),
        block("motorcycle", metal, (-0.2, -0.45, 0.32), (0.2, 0.5, 0.8)),
        block("motorcycle", seat, (-0.17, -0.85, 0.72), (0.17, 0.1, 0.92)),
        block("motorcycle", metal, (-0.38, 0.4, 0.95), (0.38, 0.5, 1.1)),
    ]
    return Vehicle(tuple(solids), 2.2)


def ridden(draw: Draw, machine: Vehicle, *, saddle: float) -> Vehicle:
    """A bicycle or a motorcycle with its rider."""
    return Vehicle((*machine.solids, *rider(draw, saddle=saddle)), machine.length)


TRAFFIC: Mapping[str, float] = {
    "car": 0.68, "truck": 0.1, "bus": 0.08, "bicycle": 0.08, "motorcycle": 0.06,
}  # fmt: skip
"""Share of each kind among what moves."""


def traffic(draw: Draw, *, lamps: Triple) -> Vehicle:
    """Something that moves along a lane."""
    kind = str(draw.choice(list(TRAFFIC), p=list(TRAFFIC.values())))
    if kind == "truck":
        return truck(draw, lamps=lamps)
    if kind == "bus":
        return bus(draw)
    if kind == "bicycle":
        return ridden(draw, bicycle(draw), saddle=0.95)
    if kind == "motorcycle":
        return ridden(draw, motorcycle(draw), saddle=0.9)
    return car(draw, lamps=lamps)
