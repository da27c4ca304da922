"""A sample at another size: images are averaged, targets are picked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mtljobs.contracts import Sample
from mtljobs.data.geometry import Camera, normals_from_depth

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def resize(sample: Sample, size: tuple[int, int], *, camera: Camera | None, reach: int) -> Sample:
    """A native sample at another size, with normals computed from its depth if there is a camera.

    The image is resized with antialiasing (bilinear). Targets are never mixed across edges: each
    pixel takes the native value nearest to its middle, and normals that are computed are computed
    there, at native resolution. Where the aspect ratio changes, depths and normals stay those of
    the native camera.

    Args:
        camera: At native size; None: the sample's own normals, if it has any.
        reach: Of the window that a normal is computed in; see `normals_from_depth`.
    """
    native = sample["image"].shape[1:]
    rows, columns = (_nearest(*lengths) for lengths in zip(native, size, strict=True))
    resized = {
        field: np.ascontiguousarray(values[..., rows[:, None], columns])
        for field, values in sample.items()
        if field != "image"
    }
    if camera is not None:
        resized["normals"] = normals_from_depth(
            sample["depth"][0], camera, reach=reach, rows=rows, columns=columns
        ).astype(np.float32)
    return {"image": _smaller(sample["image"], size), **resized}


def _nearest(native: int, length: int) -> Int[np.ndarray, "position"]:
    """The native position nearest to the middle of each of `length` pixels."""
    return np.asarray((np.arange(length) + 0.5) * native / length).astype(int)


def _smaller(
    image: Float[np.ndarray, "channel row column"], size: tuple[int, int]
) -> Float[np.ndarray, "channel row column"]:
    """An image resized with a triangle filter as wide as the new pixels, so without aliasing."""
    rows, columns = size
    channels = [
        Image.fromarray(channel).resize((columns, rows), Image.Resampling.BILINEAR)
        for channel in image
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels]), 0.0, 1.0)
