"""A room as a noiseless picture with its exact geometry."""

from __future__ import annotations

from functools import partial

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.picture import Picture, take_picture
from mtljobs.data.room.light import illuminate
from mtljobs.data.room.scene import Scene
from mtljobs.data.room.surfaces import LOOK


def camera_of(size: tuple[int, int]) -> Camera:
    """The camera of every room: 71 degrees along the image's longer side."""
    return Camera.centred(size, focal=0.7 * max(size))


def render(scene: Scene, size: tuple[int, int]) -> Picture:
    """The picture of a scene at (rows, columns)."""
    light = partial(illuminate, scene)
    return take_picture(scene.world, camera_of(size), size, look=LOOK, illuminate=light)
