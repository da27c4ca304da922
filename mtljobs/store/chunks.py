"""Names of chunk files, and what part of an array each holds; the same for every backend."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from mtljobs.store.schema import Array, Node


def chunk_name(index: Sequence[int]) -> str:
    """File name of a chunk inside its array's folder.

    Flat names, as "/" would cost a folder per axis and chunk: quotas count folders like files.

    Example:
        >>> chunk_name((0, 2, 1))
        'c.0.2.1'
    """
    return ".".join(["c", *map(str, index)])


def chunk_index(name: str) -> tuple[int, ...]:
    """The place of a chunk among its array's, from the name of its file.

    Example:
        >>> chunk_index("c.0.2.1")
        (0, 2, 1)
    """
    return tuple(int(part) for part in name.split(".")[1:] if part.isdecimal())


def is_chunk(array: Array, name: str) -> bool:
    """Whether a file of this name can be one of the array's chunks."""
    counts, index = array.chunk_counts(), chunk_index(name)
    inside = len(index) == len(counts) and all(map(operator.lt, index, counts))
    return inside and chunk_name(index) == name


def chunk_region(array: Array, index: Sequence[int]) -> tuple[slice, ...]:
    """The part of an array that a chunk holds, up to the array's end."""
    return tuple(
        slice(place * edge, min((place + 1) * edge, length))
        for place, edge, length in zip(index, array.chunks, array.shape, strict=True)
    )


def split(
    array: Array, region: tuple[slice, ...], values: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Values at a region of an array by chunk: its name, and its values up to the array's end.

    Args:
        region: Whole chunks, up to the end of the array.
    """
    ranges = (
        range(part.start // edge, -(-part.stop // edge))
        for part, edge in zip(region, array.chunks, strict=True)
    )
    for index in itertools.product(*ranges):
        inside = tuple(
            slice(chunk.start - part.start, chunk.stop - part.start)
            for chunk, part in zip(chunk_region(array, index), region, strict=True)
        )
        yield chunk_name(index), values[inside]


def pad(array: Array, values: np.ndarray) -> np.ndarray:
    """A whole chunk, little endian: its values up to the array's end, and fill beyond."""
    dtype = np.dtype(array.dtype).newbyteorder("<")
    if values.shape == array.chunks:
        return values.astype(dtype, copy=False)
    whole = np.full(array.chunks, array.fill, dtype)
    whole[tuple(slice(0, length) for length in values.shape)] = values
    return whole


class ChunkName(NamedTuple):
    """Name of a file in a store, taken apart; what is missing is empty.

    Example:
        >>> ChunkName.of("segnet/depth/irof/c.0.1")
        ChunkName(node='segnet/depth', array='irof', chunk='c.0.1')
    """

    node: str
    array: str
    chunk: str

    @classmethod
    def of(cls, name: str) -> Self:
        """As records and messages write it."""
        folder, _, chunk = name.rpartition("/")
        node, _, array = folder.rpartition("/")
        return cls(node, array, chunk)

    @property
    def says_done(self) -> bool:
        """Whether it is of `status`, which readers trust."""
        return self.array == "status"


def find_array(schema: Mapping[str, Node], name: str) -> Array | None:
    """The array in whose folder a file lies, if there is one."""
    path, array, _ = ChunkName.of(name)
    node = schema.get(path)
    return node.arrays.get(array) if node else None
