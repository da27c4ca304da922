from __future__ import annotations

import math

import numpy as np

from mtljobs.data.rendering.picture import Picture
from mtljobs.data.rendering.shapes import Box, Surface, View, World
from mtljobs.data.room.render import camera_of, render
from mtljobs.data.room.scene import SIDE_LABELS, Light, Scene

PAINT = Surface("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0, 0.0)
LEFT, RIGHT, _, FAR, FLOOR, CEILING = range(1, 7)  # behind the one box, face 0


def seen(box: Box, *, pitch: float = 0.0, lamp: tuple[float, float, float] = (0, 1, 2)) -> Picture:
    """A room 4 m wide, 5 m long, 3 m high; the camera in the middle of the near wall."""
    room = Box("wall", PAINT, (0.0, 2.5, 1.5), (2.0, 2.5, 1.5))
    view = View((0.0, 0.0, 1.5), 0.0, pitch)
    scene = Scene(
        world=World(room, (PAINT,) * 6, SIDE_LABELS, (box,), view),
        lamp=Light(lamp, (1.0, 1.0, 1.0)),
        daylight=Light((0.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
        ambient=0.2,
    )
    return render(scene, (41, 41))


def test_camera_sees_71_degrees() -> None:
    assert camera_of((288, 384)).fx == camera_of((64, 384)).fy == 0.7 * 384
    assert math.degrees(2 * math.atan(0.5 / 0.7)) > 71


def test_box_in_front_hides_the_wall_at_its_own_depth() -> None:
    picture = seen(Box("table", PAINT, (0.0, 3.0, 1.5), (0.5, 1.0, 0.5)))
    assert picture.face[20, 20] == 0
    assert picture.depth[20, 20] == 2  # the box reaches from y = 2 to y = 4
    np.testing.assert_allclose(picture.normals[:, 20, 20], [0, 0, -1], atol=1e-12)


def test_room_is_seen_from_within() -> None:
    picture = seen(Box("table", PAINT, (0.0, 3.0, 1.5), (0.1, 0.1, 0.1)))
    faces = {"left": (20, 0), "right": (20, 40), "up": (0, 20), "down": (40, 20), "far": (20, 24)}
    assert {name: int(picture.face[at]) for name, at in faces.items()} == {
        "left": LEFT, "right": RIGHT, "up": CEILING, "down": FLOOR, "far": FAR,
    }  # fmt: skip
    np.testing.assert_allclose(picture.normals[:, 40, 20], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(picture.normals[:, 20, 0], [1, 0, 0], atol=1e-12)
    # The lowest row looks down by 20 / 28.7 per metre and meets the floor 1.5 m below.
    np.testing.assert_allclose(picture.depth[40, 20], 1.5 / (20 / 28.7))


def test_turned_box_shows_its_turned_face() -> None:
    eighth = math.pi / 4
    picture = seen(Box("table", PAINT, (0.0, 3.0, 1.5), (0.5, 0.5, 0.5), turn=eighth))
    # Its edge points at the camera, half a diagonal before its centre.
    np.testing.assert_allclose(picture.depth[20, 20], 3 - math.sqrt(0.5), atol=1e-9)
    left, right = picture.normals[:, 20, 19], picture.normals[:, 20, 21]
    np.testing.assert_allclose(left, [-math.sqrt(0.5), 0, -math.sqrt(0.5)], atol=1e-12)
    np.testing.assert_allclose(right, [math.sqrt(0.5), 0, -math.sqrt(0.5)], atol=1e-12)


def test_looking_down_tilts_the_floors_normal_towards_the_camera() -> None:
    picture = seen(Box("table", PAINT, (1.0, 4.5, 2.5), (0.1, 0.1, 0.1)), pitch=math.pi / 6)
    assert picture.face[40, 20] == FLOOR
    np.testing.assert_allclose(
        picture.normals[:, 40, 20],
        [0, -math.cos(math.pi / 6), -math.sin(math.pi / 6)],
        atol=1e-12,
    )


def test_box_between_lamp_and_floor_casts_a_shadow() -> None:
    shelf = Box("table", PAINT, (0.0, 2.5, 1.0), (0.5, 0.5, 0.2))
    lit = seen(shelf, lamp=(1.9, 2.5, 0.1))
    shaded = seen(shelf, lamp=(0.0, 2.5, 2.9))
    below = (36, 20)  # the floor at y = 1.5 / (16 / 28.7) = 2.69, under the shelf
    assert lit.face[below] == shaded.face[below] == FLOOR
    assert shaded.radiance[0][below] < lit.radiance[0][below]
