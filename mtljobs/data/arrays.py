"""The numbers in a file, and what every reader asks of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from mtljobs.data.description import AXES, Direction
from mtljobs.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float

DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow and numpy raise on files that are not what they should be."""

SHORTEST = 0.5
"""Length below which a vector in a file of normals means "no normal here"."""


def decode(path: Path, content: bytes, *, colours: bool = False) -> np.ndarray:
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


def plane(path: Path | str, values: np.ndarray, what: str) -> np.ndarray:
    """The values without a channel axis.

    Raises:
        DataError: They have more than one channel.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise DataError(
            f"{path} has the shape {values.shape}; {what} has one value per pixel, `row column`. "
            "Where colours stand for values, write the values to a grey PNG or an NPY file."
        )
    return values


def finite(path: Path | str, values: np.ndarray) -> Float[np.ndarray, "..."]:
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


def unit_vectors(
    vectors: Float[np.ndarray, "row column channel"], axes: Sequence[Direction]
) -> Float[np.ndarray, "3 row column"]:
    """Unit vectors in our axes, float32, 0 where a vector is shorter than `SHORTEST`.

    Args:
        axes: Where the channels point.
    """
    normals = np.zeros((3, *vectors.shape[:2]))
    for channel, direction in enumerate(axes):
        axis, sign = AXES[direction]
        normals[axis] = sign * vectors[..., channel]
    length = np.linalg.norm(normals, axis=0)
    present = length >= SHORTEST
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=present)
    return np.asarray(normals, dtype=np.float32)
