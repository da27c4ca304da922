"""Prepared samples on disk: a few dozen in a file, each read and checked on its own.

    8 bytes     MAGIC
    records     one image each, its fields one after the other, each a blosc frame
    index       JSON: dtype and shape of every field; per image its id, offset, the lengths of its
                frames, and their crc32; sha256 of all records
    8 bytes     length of the index, little-endian
    8 bytes     MAGIC

The index vouches for the records, and `dataset.json` for the index by its SHA-256. Blosc with lz4
reads 4 to 6 times as fast as HDF5 with lzf (`docs/log.md`).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import weakref
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

from mtljobs.contracts import Sample
from mtljobs.errors import DataError

MAGIC = b"mtlpart1"
TAIL = struct.Struct("<Q8s")
VOID = 255
"""Label of void in a file."""

UNIT = 32767
"""Of a normal's component in a file; the error of a normal is below 0.002 degrees."""

OPEN_PARTS = 64
"""Files that a process keeps open."""


def write_part(path: Path, samples: Iterable[tuple[str, Sample]]) -> str:
    """Write a part, in place; the SHA-256 of its index.

    Args:
        samples: Image ids and samples, all of the same fields and size.
    """
    codec = _codec()
    content, fields, entries = hashlib.sha256(), {}, []
    with path.open("xb") as file:
        file.write(MAGIC)
        for image, sample in samples:
            stored = encode(sample)
            frames = [bytes(codec.encode(values)) for values in stored.values()]
            record = b"".join(frames)
            fields = {name: [values.dtype.str, values.shape] for name, values in stored.items()}
            entries.append([image, file.tell(), [len(f) for f in frames], zlib.crc32(record)])
            content.update(record)
            file.write(record)
        values = {"fields": fields, "images": entries, "sha256": content.hexdigest()}
        index = json.dumps(values, separators=(",", ":")).encode()
        file.write(index + TAIL.pack(len(index), MAGIC))
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(index).hexdigest()


def encode(sample: Sample) -> dict[str, np.ndarray]:
    """A sample as it is stored: 8-bit images and labels, 16-bit normals, depth as it is."""
    stored = {"image": np.rint(sample["image"] * 255).astype("u1")}
    if "segmentation" in sample:
        labels = sample["segmentation"]
        stored["segmentation"] = np.where(labels < 0, VOID, labels).astype("u1")
    if "depth" in sample:
        stored["depth"] = sample["depth"].astype("<f4")
    if "normals" in sample:
        stored["normals"] = np.rint(sample["normals"] * UNIT).astype("<i2")
    return stored


def decode_stored(stored: Sample, labels: np.ndarray) -> Sample:
    """What `encode` stored, in the conventions of `mtljobs.contracts`.

    Args:
        labels: Label of each of the 256 values in the file.
    """
    sample = {"image": stored["image"] * np.float32(1 / 255)}
    if "segmentation" in stored:
        sample["segmentation"] = labels[stored["segmentation"]]
    if "depth" in stored:
        sample["depth"] = stored["depth"].copy()
    if "normals" in stored:
        sample["normals"] = stored["normals"] * np.float32(1 / UNIT)
    return sample


class Part:
    """A part that is open for reading."""

    def __init__(self, path: Path, sha256: str) -> None:
        """Open a part and check that it is the one that was prepared.

        Raises:
            DataError: It is missing, or another, or damaged.
        """
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from error
        weakref.finalize(self, os.close, self._descriptor)
        end = os.fstat(self._descriptor).st_size
        length, magic = TAIL.unpack(self._bytes(max(0, end - TAIL.size), TAIL.size))
        if magic != MAGIC or length > end:
            raise _damaged(path, "it ends in the middle")
        index = self._bytes(end - TAIL.size - length, length)
        if hashlib.sha256(index).hexdigest() != sha256:
            raise _damaged(path, "it is not the file that dataset.json names")
        values: dict[str, Any] = json.loads(index)
        self._fields, self._sha256 = values["fields"], values["sha256"]
        self._entries = {entry[0]: entry[1:] for entry in values["images"]}

    def read(self, image: str) -> dict[str, np.ndarray]:
        """The stored values of an image.

        Raises:
            DataError: They are damaged.
        """
        offset, lengths, crc32 = self._entries[image]
        record = self._bytes(offset, sum(lengths))
        if zlib.crc32(record) != crc32:
            raise _damaged(self._path, f"the bytes of image {image!r} have changed")
        codec, stored, begin = _codec(), {}, 0
        for (name, (dtype, shape)), length in zip(self._fields.items(), lengths, strict=True):
            frame = record[begin : begin + length]
            stored[name] = np.frombuffer(codec.decode(frame), dtype).reshape(shape)
            begin += length
        return stored

    def is_whole(self) -> bool:
        """Whether every record is as it was written."""
        content = hashlib.sha256()
        for offset, lengths, _ in self._entries.values():
            content.update(self._bytes(offset, sum(lengths)))
        return bool(content.hexdigest() == self._sha256)

    def _bytes(self, offset: int, length: int) -> bytes:
        try:
            found = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise _damaged(self._path, error.strerror or str(error)) from error
        if len(found) < length:
            raise _damaged(self._path, "it ends in the middle")
        return found


@lru_cache(maxsize=OPEN_PARTS)
def open_part(path: Path, sha256: str) -> Part:
    """The part of a file, opened once per process."""
    return Part(path, sha256)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read: {why}. It should be as `mtljobs data prepare` wrote it; run that "
        "again with the same options, which makes what is missing or damaged anew, and the same."
    )


def _codec() -> numcodecs.Blosc:
    # One thread: a shard has one core, and bytes follow from the content alone.
    numcodecs.blosc.use_threads = False
    return numcodecs.Blosc("lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)
