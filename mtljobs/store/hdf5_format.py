"""The schema as HDF5: bytes of chunks.

A chunk file holds the very bytes that HDF5 keeps of a chunk, so that a merge copies them, and
SHA-256 in a record is that of what the store has. They are what HDF5's own filters give: byte
shuffle, deflate, and Fletcher's checksum, which every HDF5 library has.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numcodecs import Fletcher32, Shuffle

from mtljobs.errors import CorruptionError
from mtljobs.store.chunks import chunk_index, chunk_region, pad, split
from mtljobs.store.forms import hdf5_form
from mtljobs.store.schema import WIDTHS, Array

DEFLATE_LEVEL = 4


def codecs(array: Array) -> list[dict[str, Any]]:
    """The filters as Zarr codecs, by which a reader of Zarr can read chunks of HDF5."""
    width = WIDTHS[hdf5_form(array).dtype]
    shuffle = {"name": "numcodecs.shuffle", "configuration": {"elementsize": width}}
    return [
        {"name": "bytes", "configuration": {"endian": "little"}},
        *([shuffle] if width > 1 else []),
        {"name": "numcodecs.zlib", "configuration": {"level": DEFLATE_LEVEL}},
        {"name": "numcodecs.fletcher32", "configuration": {}},
    ]


def encode(array: Array, region: tuple[slice, ...], values: np.ndarray) -> dict[str, bytes]:
    """Chunk files, by name, that hold `values` at a region of the array.

    Args:
        array: As the schema has it.
        region: Whole chunks, up to the end of the array.
    """
    array = hdf5_form(array)
    return {name: _compress(pad(array, chunk)) for name, chunk in split(array, region, values)}


def _compress(whole: np.ndarray) -> bytes:
    width = whole.itemsize
    content = Shuffle(width).encode(whole.tobytes()) if width > 1 else whole.tobytes()
    return bytes(Fletcher32().encode(zlib.compress(content, DEFLATE_LEVEL)))


def decode(array: Array, name: str, chunk: bytes) -> np.ndarray:
    """The values in a chunk file, up to the end of the array.

    Args:
        array: In its form here.

    Raises:
        CorruptionError: Its checksum or its encoding is broken.
    """
    region = chunk_region(array, chunk_index(name))
    dtype = np.dtype(array.dtype).newbyteorder("<")
    try:
        content = zlib.decompress(Fletcher32().decode(chunk))
        content = Shuffle(dtype.itemsize).decode(content) if dtype.itemsize > 1 else content
        values = np.frombuffer(content, dtype).reshape(array.chunks)
    # Whatever codecs raise where bytes make no sense to them; there is no common class.
    except Exception as error:
        raise CorruptionError(f"it cannot be decoded ({error})") from error
    return values[tuple(slice(0, part.stop - part.start) for part in region)]
