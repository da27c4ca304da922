from __future__ import annotations

import math

import numpy as np
import pytest

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.patterns import Look, Patch, plain
from mtljobs.data.rendering.picture import Picture, take_picture
from mtljobs.data.rendering.shapes import Box, Ellipsoid, Solid, Surface, View, World

PAINT = Surface("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0, 0.0)
FOCAL = 20.0
LOOK = Look(painters={"plain": plain}, glowing=frozenset())


def seen(*solids: Solid, look: Look = LOOK) -> Picture:
    """From the origin along y, up to 10 m away; the middle pixel is (20, 20)."""
    world = World(
        shell=Box("wall", PAINT, (0.0, 0.0, 0.0), (10.0, 10.0, 6.0)),
        sides=(PAINT,) * 6,
        side_labels=("wall",) * 6,
        solids=solids,
        view=View((0.0, 0.0, 0.0), 0.0, 0.0),
    )
    camera = Camera.centred((41, 41), focal=FOCAL)
    return take_picture(
        world, camera, (41, 41), look=look, illuminate=lambda points, _: np.ones_like(points)
    )


def test_sphere_is_met_where_the_quadratic_equation_says() -> None:
    picture = seen(Ellipsoid("ball", PAINT, (0.0, 3.0, 0.0), (1.0, 1.0, 1.0)))
    assert picture.depth[20, 20] == pytest.approx(2)
    # Along (0.1, 1): 1.01 t^2 - 6 t + 8 = 0.
    assert picture.depth[20, 22] == pytest.approx((6 - math.sqrt(36 - 4 * 1.01 * 8)) / 2.02)
    # A ray at a slope of more than 1 / sqrt(8) passes by.
    assert picture.face[20, 20 + 7] == 0
    assert picture.face[20, 20 + 8] != 0


def test_normal_of_a_sphere_points_away_from_its_middle() -> None:
    picture = seen(Ellipsoid("ball", PAINT, (0.0, 3.0, 0.0), (1.0, 1.0, 1.0)))
    depth = picture.depth[16, 24]
    point = np.array([4 / FOCAL, -4 / FOCAL, 1.0]) * depth
    np.testing.assert_allclose(picture.normals[:, 16, 24], point - [0, 0, 3], atol=1e-9)


def test_turned_ellipsoid_shows_its_other_side() -> None:
    long = (0.5, 2.0, 0.5)
    ahead = seen(Ellipsoid("ball", PAINT, (0.0, 5.0, 0.0), long))
    across = seen(Ellipsoid("ball", PAINT, (0.0, 5.0, 0.0), long, turn=math.pi / 2))
    assert ahead.depth[20, 20] == pytest.approx(3)
    assert across.depth[20, 20] == pytest.approx(4.5)
    np.testing.assert_allclose(across.normals[:, 20, 20], [0, 0, -1], atol=1e-9)


def test_solid_behind_another_is_hidden_whatever_their_order() -> None:
    near = Box("near", PAINT, (0.0, 3.0, 0.0), (1.0, 0.5, 1.0))
    far = Ellipsoid("far", PAINT, (0.0, 6.0, 0.0), (0.5, 0.5, 0.5))
    assert seen(near, far).depth[20, 20] == seen(far, near).depth[20, 20] == 2.5


def test_solid_behind_the_camera_is_not_seen() -> None:
    behind = Ellipsoid("ball", PAINT, (0.0, -3.0, 0.0), (1.0, 1.0, 1.0))
    assert (seen(behind).face > 0).all()


def test_patterns_know_the_axis_and_the_longer_side_of_a_face() -> None:
    known: dict[int, float] = {}

    def spy(patch: Patch) -> np.ndarray:
        known.update(zip(patch.axis.tolist(), patch.half_u.tolist(), strict=True))
        return patch.base

    look = Look(painters={"plain": spy}, glowing=frozenset())
    seen(Ellipsoid("ball", PAINT, (0.0, 5.0, 0.0), (0.5, 2.0, 0.7)), look=look)
    assert known == {0: 10.0, 1: 10.0, 2: 10.0, 3: 2.0}
