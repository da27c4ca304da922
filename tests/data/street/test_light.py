from __future__ import annotations

import math

import numpy as np
import pytest

from mtljobs.data.rendering.shapes import Box, Ellipsoid, Solid, Surface, View, World
from mtljobs.data.street.light import illuminate
from mtljobs.data.street.scene import SIDE_LABELS, Scene, Weather

PAINT = Surface("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0, 0.0)
EIGHTH = math.sqrt(0.5)


def green_light(solid: Solid, *points: tuple[float, float, float], sunshine: float) -> list[float]:
    """Light on level ground at some points, the sun half way up on the left."""
    dome = Box("sky", PAINT, (0.0, 0.0, 50.0), (100.0, 100.0, 50.0))
    view = View((0.0, 0.0, 1.0), 0.0, 0.0)
    weather = Weather((-EIGHTH, 0.0, EIGHTH), sunshine, 1.0, (0.7, 0.7, 0.7), 300.0)
    scene = Scene(World(dome, (PAINT,) * 6, SIDE_LABELS, (solid,), view), weather)
    places = np.array(points).T[:, None]
    up = np.zeros_like(places)
    up[2] = 1.0
    return list(illuminate(scene, places, up)[1, 0])


def test_shadow_of_a_box_is_as_long_as_the_box_is_high() -> None:
    box = Box("car", PAINT, (0.0, 10.0, 0.5), (0.5, 1.0, 0.5))
    places = (-0.6, 10.0, 0.0), (1.4, 10.0, 0.0), (1.6, 10.0, 0.0), (1.0, 11.1, 0.0)
    light = green_light(box, *places, sunshine=2.0)
    sunny = 1.0 + 2.0 * EIGHTH
    assert light == pytest.approx([sunny, 1.0, sunny, sunny])


def test_shadow_of_a_sphere_is_an_ellipse() -> None:
    ball = Ellipsoid("vegetation", PAINT, (0.0, 10.0, 5.0), (1.0, 1.0, 1.0))
    # Its middle falls on x = 5, and it is longer by sqrt(2) along x.
    places = (5 + 1.4, 10.0, 0.0), (5 + 1.42, 10.0, 0.0), (5.0, 10.99, 0.0), (5.0, 11.01, 0.0)
    light = green_light(ball, *places, sunshine=2.0)
    assert light == pytest.approx([1.0, 1 + 2 * EIGHTH, 1.0, 1 + 2 * EIGHTH])


def test_nothing_casts_a_shadow_beneath_clouds() -> None:
    box = Box("car", PAINT, (0.0, 10.0, 0.5), (0.5, 1.0, 0.5))
    under, free = green_light(box, (1.0, 10.0, 0.0), (5.0, 10.0, 0.0), sunshine=0.2)
    assert under == free
