"""Described files in our conventions, refused with a reason where they are something else.

Every reader takes the file's content besides its path, so that what was hashed is what is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.arrays import decode, finite, plane, unit_vectors
from mtljobs.data.description import DepthFiles, ImageFiles, Normals, SegmentationFiles
from mtljobs.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def read_image(
    path: Path, content: bytes, files: ImageFiles
) -> Float[np.ndarray, "channel row column"]:
    """An image, float32 in [0, 1], red, green, blue."""
    values = decode(path, content, colours=True)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise DataError(
            f"{path} has the shape {values.shape}; an image is `row column` or `row column "
            "channel` with 3 or 4 channels."
        )
    scale = _default_scale(path, values) if files.scale is None else files.scale
    image = finite(path, values[..., :3]) * scale
    if image.min() < 0 or image.max() > 1:
        raise DataError(
            f"{path} holds values from {image.min():g} to {image.max():g} after scaling by "
            f"{scale:g}; an image lies in [0, 1]: set `scale` in [image]."
        )
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)


def _default_scale(path: Path, values: np.ndarray) -> float:
    if values.dtype.kind == "f":
        return 1.0
    if values.dtype in (np.uint8, np.uint16):
        return 1 / float(np.iinfo(values.dtype).max)
    raise DataError(
        f"{path} holds values of type {values.dtype}, from which their range cannot be told: set "
        "`scale` in [image] so that they lie in [0, 1]."
    )


def read_labels(
    path: Path, content: bytes, files: SegmentationFiles
) -> Int[np.ndarray, "row column"]:
    """Labels, int64, -1 where void."""
    values = plane(path, decode(path, content), "a label map")
    if not np.issubdtype(values.dtype, np.integer):
        whole = np.rint(finite(path, values))
        if not np.array_equal(whole, values):
            raise DataError(f"{path} holds fractions; labels are whole numbers.")
        values = whole
    values = values.astype(np.int64)
    void = np.isin(values, files.ignore)
    labels = np.where(void, -1, values + files.offset)
    wrong = ~void & ((labels < 0) | (labels >= len(files.classes)))
    if wrong.any():
        received = ", ".join(map(str, np.unique(values[wrong])[:5]))
        first, last = -files.offset, len(files.classes) - 1 - files.offset
        raise DataError(
            f"{path} holds the label {received}; the {len(files.classes)} classes of "
            f"[segmentation] are the file values {first} to {last}: add the class, or add the "
            "value to `ignore`, or set `offset`."
        )
    return labels


def read_depth(path: Path, content: bytes, files: DepthFiles) -> Float[np.ndarray, "1 row column"]:
    """Depth, float32 in `files.unit`, 0 where missing."""
    values = finite(path, plane(path, decode(path, content), "a depth map"))
    if values.min() < 0:
        raise DataError(
            f"{path} holds a depth of {values.min():g}; depth is positive, and 0 where missing."
        )
    return np.asarray(values[None] * files.scale, dtype=np.float32)


def read_normals(path: Path, content: bytes, files: Normals) -> Float[np.ndarray, "3 row column"]:
    """Unit normals, float32, x right, y down, z away from the camera, 0 where missing."""
    values = decode(path, content)
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise DataError(f"{path} has the shape {values.shape}; normals are `row column channel`.")
    vectors = (finite(path, values[..., :3]) - files.zero) * files.scale
    normals = unit_vectors(vectors, files.axes)
    present = normals.any(axis=0)
    mean_z = normals[2][present].mean() if present.any() else -1.0
    if mean_z > 0:  # over a whole image, what is seen looks back
        raise DataError(
            f"the normals in {path} point away from the camera (their mean z is {mean_z:.2f}, and "
            "would be negative): set `axes`, `zero` and `scale` in [normals]."
        )
    return normals
