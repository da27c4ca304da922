"""What layouts have in common in how values are written, and refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtljobs.data.arrays import decode, finite, plane
from mtljobs.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def read_values(path: Path, *, colours: bool = False) -> np.ndarray:
    """The numbers in a PNG or NPY file.

    Raises:
        DataError: There is no such file, or it is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); every image of this layout has such a "
            "file: unpack or copy the data set again."
        ) from error
    return decode(path, content, colours=colours)


def first_size(images: Iterable[Path]) -> tuple[int, int] | None:
    """(rows, columns) of the first image that can be read; of the others, `read` will say why."""
    for path in images:
        try:
            rows, columns = read_values(path, colours=True).shape[:2]
        except (DataError, ValueError):
            continue
        return rows, columns
    return None


def image_values(where: Path | str, values: np.ndarray) -> Float[np.ndarray, "3 row column"]:
    """An image that is stored `row column channel`, 8 bit or floats in [0, 1].

    Raises:
        DataError: It is something else.
    """
    if values.ndim != 3 or values.shape[2] != 3:
        raise DataError(
            f"{where} has the shape {values.shape}; an image of this layout is `row column "
            "channel` with 3 channels."
        )
    if values.dtype == np.uint8:
        values = values / np.float32(255)
    values = finite(where, values)
    if values.min() < 0 or values.max() > 1:
        raise DataError(
            f"{where} holds values from {values.min():g} to {values.max():g}; an image of this "
            "layout has 8 bits, or floats from 0 to 1: replace the file by the data set's own."
        )
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def label_values(
    where: Path | str, values: np.ndarray, meaning: Mapping[int, int]
) -> Int[np.ndarray, "row column"]:
    """Labels, int64, -1 where void.

    Args:
        meaning: Value in the file -> label, for every value that may stand there.

    Raises:
        DataError: Another value stands there.
    """
    values = plane(where, values, "a label map")
    present, place = np.unique(values, return_inverse=True)
    wrong = [value for value in present.tolist() if value not in meaning]
    if wrong:
        valid = [value for value, label in meaning.items() if label >= 0]
        void = [value for value, label in meaning.items() if label < 0 and not 0 < value < 255]
        raise DataError(
            f"{where} holds the label {', '.join(f'{value:g}' for value in wrong[:5])}; a label "
            f"map of this layout holds {min(valid)} to {max(valid)}, and "
            f"{' or '.join(map(str, void))} where nothing is labelled. Is it of another layout, "
            "or were its values changed by resizing?"
        )
    labels = np.array([meaning[value] for value in present.tolist()], np.int64)
    return labels[place].reshape(values.shape)


def depth_values(where: Path | str, values: np.ndarray) -> Float[np.ndarray, "1 row column"]:
    """Depth or disparity, float32, 0 where missing.

    Raises:
        DataError: A value is negative or not finite.
    """
    values = finite(where, plane(where, values, "a depth map"))
    if values.min() < 0:
        raise DataError(
            f"{where} holds a depth of {values.min():g}; depth is positive, and 0 where missing: "
            "replace the file by the data set's own."
        )
    return np.asarray(values[None], dtype=np.float32)
