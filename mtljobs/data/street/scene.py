"""A street with everything on it, drawn at random: what stands where, who looks, what shines."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mtljobs.data.rendering.draws import Draw, between, paint, pick
from mtljobs.data.rendering.shapes import Box, Solid, Surface, Triple, View, World, move
from mtljobs.data.street import roadside, vehicles
from mtljobs.data.street.fronts import fronts
from mtljobs.data.street.ground import KERB_M, PARKING_M, Plan, ground, meadow, plan
from mtljobs.data.street.people import pedestrian

SIDE_LABELS = ("sky", "sky", "sky", "sky", "terrain", "sky")
"""Class names of what lies behind everything, in the order of `World.sides`."""

BUSY_M = 50.0
"""Metres along the street behind which there is no traffic, and nothing small stands."""

NEAREST_M = 7.0
"""Metres along the street before which nothing stands in the way."""


LOOKS = {1: (vehicles.TAIL_LAMP, 0.0), -1: (vehicles.HEAD_LAMP, math.pi)}
"""Side of the road (1 right, -1 left) -> colour of the lamps seen there, turn of the vehicles."""


@dataclass(frozen=True)
class Weather:
    """What lights a street.

    Attributes:
        towards_sun: Unit vector, not straight up.
        sunshine: Light that the sun sends to a face that looks at it; casts shadows.
        ambient: Light from the whole sky.
        haze: What distance fades into.
        visibility_m: Metres after which 37 % of the contrast is left.
    """

    towards_sun: Triple
    sunshine: float
    ambient: float
    haze: Triple
    visibility_m: float


@dataclass(frozen=True)
class Scene:
    """Everything that a picture depends on, sensor noise apart."""

    world: World
    weather: Weather


def lay_out(draw: Draw) -> Scene:
    """A street drawn at random, with its traffic, and a car with a camera on its right lane."""
    street = plan(draw)
    solids: list[Solid] = [*ground(draw, street), *fronts(draw, street)]
    solids += _furnish(draw, street)
    solids += _park(draw, street)
    solids += _drive(draw, street)
    solids += _walk(draw, street)
    solids.sort(key=lambda solid: solid.centre[1])  # what is hidden is then found to be so at once
    view = View(
        position=(0.5 * street.lane + between(draw, -0.4, 0.4), 0.0, between(draw, 1.15, 1.35)),
        yaw=between(draw, -0.06, 0.1),
        pitch=between(draw, 0.0, 0.05),
    )
    weather = _weather(draw)
    dome = _sky(draw, weather)
    sides = (dome, dome, dome, dome, meadow(draw), dome)
    shell = Box("sky", dome, (0.0, 225.0, 75.0), (400.0, 275.0, 75.4))  # its floor at z = -0.4
    return Scene(World(shell, sides, SIDE_LABELS, tuple(solids), view), weather)


def _weather(draw: Draw) -> Weather:
    """Sunny, or overcast."""
    height, turn = between(draw, 0.35, 1.0), between(draw, -math.pi, math.pi)
    sunny = draw.random() < 0.6
    blue, grey = (0.70, 0.80, 0.92), (0.80, 0.82, 0.84)
    return Weather(
        towards_sun=(
            math.cos(height) * math.sin(turn),
            math.cos(height) * math.cos(turn),
            math.sin(height),
        ),
        sunshine=between(draw, 1.6, 3.0) if sunny else between(draw, 0.0, 0.3),
        ambient=between(draw, 0.7, 1.1) if sunny else between(draw, 1.1, 1.8),
        haze=pick(draw, (blue,) if sunny else (grey,)),
        visibility_m=between(draw, 150.0, 600.0),
    )


def _sky(draw: Draw, weather: Weather) -> Surface:
    deep = pick(draw, ((0.30, 0.50, 0.85), (0.45, 0.60, 0.85), (0.75, 0.78, 0.82)))
    return paint(draw, "sky", deep, accent=weather.haze, period=between(draw, 0.1, 0.9))


def _furnish(draw: Draw, street: Plan) -> list[Solid]:
    """Lamps, signs, traffic lights and trees along both kerbs."""
    solids: list[Solid] = []
    trees = draw.random() < 0.4
    for side in (-1, 1):
        x = side * (street.kerb + 0.5)
        at = between(draw, 6.0, 14.0)
        while at < BUSY_M:
            if not street.is_open(at, margin=1.0):
                solids += move(_post(draw, side=side, trees=trees), to=(x, at, KERB_M))
            at += between(draw, 7.0, 15.0)
        crossing = street.zebra or street.junction
        if crossing is not None and draw.random() < 0.8:
            solids += move(roadside.traffic_light(draw), to=(x, crossing[0] - 1.0, KERB_M))
    return solids


def _post(draw: Draw, *, side: int, trees: bool) -> tuple[Solid, ...]:
    kind = draw.random()
    if trees and kind < 0.5:
        return roadside.tree(draw)
    if kind < 0.6:
        return roadside.street_lamp(draw, side=side)
    return roadside.traffic_sign(draw)


def _park(draw: Draw, street: Plan) -> list[Solid]:
    """Cars along the kerbs, bicycles and motorcycles on the pavement."""
    solids: list[Solid] = []
    for side in (-1, 1):
        lamps, turn = LOOKS[side]
        at = NEAREST_M + between(draw, 0.0, 8.0)
        while street.parking >= PARKING_M and at < BUSY_M:
            parked = vehicles.car(draw, lamps=lamps)
            middle = at + parked.length / 2
            if draw.random() < 0.7 and not street.is_open(middle, margin=4.0):
                place = side * (street.kerb - 1.05), middle, 0.0
                solids += move(parked.solids, to=place, turn=turn)
            at += parked.length + between(draw, 0.6, 2.0)
        for _ in range(int(draw.integers(0, 3))):
            two_wheeled = vehicles.bicycle if draw.random() < 0.75 else vehicles.motorcycle
            place = side * (street.front - 0.8), between(draw, 8.0, 30.0), KERB_M
            parked = two_wheeled(draw)
            solids += move(parked.solids, to=place, turn=between(draw, -math.pi, math.pi))
    return solids


def _drive(draw: Draw, street: Plan) -> list[Solid]:
    """Traffic: ahead in our lane, and towards us; sometimes a tram instead of the latter."""
    solids: list[Solid] = []
    sides: tuple[int, ...] = (1, -1)
    if draw.random() < 0.1:
        sides, tram = (1,), vehicles.train(draw)
        at = between(draw, 8.0, 30.0) + tram.length / 2
        solids += move(tram.solids, to=(-street.lane / 2, at, 0.0))
    for side in sides:
        lamps, turn = LOOKS[side]
        at = NEAREST_M + draw.exponential(14.0)
        while at < BUSY_M:
            vehicle = vehicles.traffic(draw, lamps=lamps)
            x = side * street.lane / 2 + between(draw, -0.3, 0.3)
            solids += move(vehicle.solids, to=(x, at + vehicle.length / 2, 0.0), turn=turn)
            at += vehicle.length + 4.0 + draw.exponential(18.0)
    return solids


def _walk(draw: Draw, street: Plan) -> list[Solid]:
    """People on the pavements, and some who cross the road."""
    solids: list[Solid] = []
    for _ in range(int(draw.integers(0, 8))):
        side = 1 if draw.random() < 0.5 else -1
        x = side * between(draw, street.kerb + street.verge + 0.4, street.front - 0.3)
        place = x, between(draw, NEAREST_M, 40.0), KERB_M
        solids += move(pedestrian(draw), to=place, turn=between(draw, -math.pi, math.pi))
    if street.zebra is not None:
        for _ in range(int(draw.integers(0, 4))):
            place = between(draw, -street.lane, street.lane), between(draw, *street.zebra), 0.0
            solids += move(pedestrian(draw), to=place, turn=math.pi / 2)
    return solids
