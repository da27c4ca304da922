"""A street as a noiseless picture with its exact geometry."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from mtljobs.data.geometry import Camera
from mtljobs.data.rendering.picture import Picture, take_picture
from mtljobs.data.street.light import illuminate
from mtljobs.data.street.scene import Scene
from mtljobs.data.street.surfaces import LOOK

FOCAL = 1.1
"""Focal length in widths of the image: 49 degrees across, as Cityscapes' cameras."""


def camera_of(size: tuple[int, int]) -> Camera:
    """The left camera of every street."""
    return Camera.centred(size, focal=FOCAL * size[1])


def render(scene: Scene, size: tuple[int, int]) -> Picture:
    """The picture of a scene at (rows, columns)."""
    light = partial(illuminate, scene)
    picture = take_picture(scene.world, camera_of(size), size, look=LOOK, illuminate=light)
    return replace(picture, radiance=_fade(picture, scene))


def _fade(picture: Picture, scene: Scene) -> np.ndarray:
    """Radiance behind haze, through which the sky is seen as it is."""
    sky = np.array([label == "sky" for label in scene.world.labels])[picture.face]
    clear = np.where(sky, 1.0, np.exp(-picture.depth / scene.weather.visibility_m))
    haze = np.array(scene.weather.haze)[:, None, None]
    return np.asarray(haze + (picture.radiance - haze) * clear)
