"""Numbers as bytes of a chunk file of a Zarr store, and back: blosc, crc32c, an index of parts.

Zarr's codecs `blosc`, `crc32c` and `sharding_indexed`, by the libraries that zarr-python calls: it
takes 8 ms to open and read a chunk of any size, and as long as the compression to write its parts.

Source:
    The Zarr v3 specification of these codecs. Departure: parts lie in the order of their place,
    the last axis the fastest, where zarr-python takes Morton's; the index says where each is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import google_crc32c
import numcodecs.blosc
import numpy as np

from mtljobs.store.chunks import pad
from mtljobs.store.schema import Array

LEVEL = 3

_CHECKSUM = 4
"""Bytes of a crc32c."""

_NOWHERE = 2**64 - 1
"""Place and length of a part that reaches nothing of the array."""


def encode_chunk(array: Array, values: np.ndarray) -> bytes:
    """The bytes of a chunk.

    Args:
        values: Of the chunk, up to the end of the array.
    """
    whole = pad(array, values)
    if array.parts is None:
        return _pack(whole)
    parts = [
        _pack(whole[part]) if _is_inside(part, values.shape) else None for part in _parts(array)
    ]
    index, place = [], 0
    for content in parts:
        index.append((_NOWHERE, _NOWHERE) if content is None else (place, len(content)))
        place += len(content or b"")
    return b"".join([*filter(None, parts), _seal(np.array(index, "<u8").tobytes())])


def decode_chunk(array: Array, chunk: bytes) -> np.ndarray:
    """The values of a whole chunk; beyond the end of the array they mean nothing.

    Raises:
        ValueError: A checksum is that of other bytes.
        Exception: Whatever numpy and blosc raise where bytes make no sense to them.
    """
    dtype = np.dtype(array.dtype).newbyteorder("<")
    if array.parts is None:
        return np.frombuffer(_unpack(chunk), dtype).reshape(array.chunks)
    whole = np.full(array.chunks, array.fill, dtype)
    regions = list(_parts(array))
    index = np.frombuffer(_open(chunk[-16 * len(regions) - _CHECKSUM :]), "<u8").reshape(-1, 2)
    for region, (place, length) in zip(regions, index.tolist(), strict=True):
        if place != _NOWHERE:
            content = _unpack(chunk[place : place + length])
            whole[region] = np.frombuffer(content, dtype).reshape(array.parts)
    return whole


def _parts(array: Array) -> Iterator[tuple[slice, ...]]:
    """The regions of a chunk that are compressed as one."""
    edges = array.parts or array.chunks
    starts = (range(0, chunk, edge) for chunk, edge in zip(array.chunks, edges, strict=True))
    for place in itertools.product(*starts):
        yield tuple(slice(start, start + edge) for start, edge in zip(place, edges, strict=True))


def _is_inside(part: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    return all(along.start < length for along, length in zip(part, shape, strict=True))


def _pack(values: np.ndarray) -> bytes:
    numcodecs.blosc.use_threads = False  # One shard, one core; and bytes by content alone.
    shuffle = numcodecs.blosc.SHUFFLE if values.itemsize > 1 else numcodecs.blosc.NOSHUFFLE
    content = np.ascontiguousarray(values)
    return _seal(bytes(numcodecs.blosc.compress(content, b"zstd", LEVEL, shuffle, 0)))


def _unpack(chunk: bytes) -> bytes:
    return bytes(numcodecs.blosc.decompress(_open(chunk)))


def _seal(content: bytes) -> bytes:
    checksum: bytes = google_crc32c.value(content).to_bytes(_CHECKSUM, "little")
    return content + checksum


def _open(sealed: bytes) -> bytes:
    content, checksum = sealed[:-_CHECKSUM], sealed[-_CHECKSUM:]
    if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
        raise ValueError("its checksum is that of other bytes")
    return content
