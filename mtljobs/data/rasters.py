"""Files as arrays of our conventions, refused with a reason where they are not what was described.

Every reader takes the file's content besides its path, so that what was hashed is what is read.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from mtljobs.data.description import (
    AXES,
    DepthFiles,
    ImageFiles,
    Normals,
    SegmentationFiles,
)
from mtljobs.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow and numpy raise on files that are not what they should be."""

SHORTEST = 0.5
"""Length below which a vector in a file of normals means "no normal here"."""


def read_image(
    path: Path, content: bytes, files: ImageFiles
) -> Float[np.ndarray, "channel row column"]:
    """An image, float32 in [0, 1], red, green, blue."""
    values = _decode(path, content, colours=True)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise DataError(
            f"{path} has the shape {values.shape}; an image is `row column` or `row column "
            "channel` with 3 or 4 channels."
        )
    scale = _default_scale(path, values) if files.scale is None else files.scale
    image = _finite(path, values[..., :3]) * scale
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
    values = _plane(path, _decode(path, content), "a label map")
    if not np.issubdtype(values.dtype, np.integer):
        whole = np.rint(_finite(path, values))
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
    values = _finite(path, _plane(path, _decode(path, content), "a depth map"))
    if values.min() < 0:
        raise DataError(
            f"{path} holds a depth of {values.min():g}; depth is positive, and 0 where missing."
        )
    return np.asarray(values[None] * files.scale, dtype=np.float32)


def read_normals(path: Path, content: bytes, files: Normals) -> Float[np.ndarray, "3 row column"]:
    """Unit normals, float32, x right, y down, z away from the camera, 0 where missing."""
    values = _decode(path, content)
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise DataError(f"{path} has the shape {values.shape}; normals are `row column channel`.")
    vectors = (_finite(path, values[..., :3]) - files.zero) * files.scale
    normals = np.zeros((3, *vectors.shape[:2]))
    for channel, direction in enumerate(files.axes):
        axis, sign = AXES[direction]
        normals[axis] = sign * vectors[..., channel]
    length = np.linalg.norm(normals, axis=0)
    present = length >= SHORTEST
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=present)
    mean_z = normals[2][present].mean() if present.any() else -1.0
    if mean_z > 0:  # over a whole image, what is seen looks back
        raise DataError(
            f"the normals in {path} point away from the camera (their mean z is {mean_z:.2f}, and "
            "would be negative): set `axes`, `zero` and `scale` in [normals]."
        )
    return np.asarray(normals, dtype=np.float32)


def _decode(path: Path, content: bytes, *, colours: bool = False) -> np.ndarray:
    """The numbers in a file; of an image with a palette the positions in it, or the colours."""
    try:
        values = _unpack(path, content, colours=colours)
    except DAMAGED as error:
        # Pillow names the buffer that it was given, and its address.
        reason = "no such image" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(
            f"{path} ({len(content)} bytes) cannot be read: {reason}. It should be the PNG, "
            "JPEG or NPY file that its name says; copy it again."
        ) from error
    if values.dtype.kind not in "buif" or not values.size:
        raise DataError(
            f"{path} holds {values.size} values of type {values.dtype}; expected numbers, at least "
            "one pixel."
        )
    return values


def _unpack(path: Path, content: bytes, *, colours: bool) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        # Not np.load, which takes any other file for a pickle and says so.
        read_array: Callable[..., np.ndarray] = np.lib.format.read_array
        return read_array(io.BytesIO(content), allow_pickle=False)
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
        palette_or_print = image.mode in {"P", "PA", "LA", "CMYK", "YCbCr"}
        return np.asarray(image.convert("RGB") if colours and palette_or_print else image)


def _plane(path: Path, values: np.ndarray, what: str) -> np.ndarray:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise DataError(
            f"{path} has the shape {values.shape}; {what} has one value per pixel, `row column`. "
            "Where colours stand for values, write the values to a grey PNG or an NPY file."
        )
    return values


def _finite(path: Path, values: np.ndarray) -> Float[np.ndarray, "..."]:
    """The values as floats.

    Raises:
        DataError: Some are NaN or infinite.
    """
    floats = values.astype(np.float64)
    wrong = ~np.isfinite(floats)
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise DataError(
            f"{path} holds {wrong.sum()} values that are NaN or infinite, the first at row "
            f"{place[0]}, column {place[1]}; write 0 where a depth or a normal is missing."
        )
    return floats
