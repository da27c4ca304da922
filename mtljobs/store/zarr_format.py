"""The schema as Zarr v3: metadata documents, names of chunks, and bytes of chunks.

The documents are written here, not by zarr-python, so that they are the same bytes under every
release of it. Chunks of numbers are encoded by `zarr_codecs`, those of text by zarr-python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
import zarr
from zarr.buffer.cpu import Buffer
from zarr.storage import LocalStore, MemoryStore

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import to_json
from mtljobs.store.chunks import chunk_index, chunk_region, split
from mtljobs.store.schema import WIDTHS, Array, Node
from mtljobs.store.zarr_codecs import LEVEL, decode_chunk, encode_chunk

METADATA = "zarr.json"

SEAL = "metadata_sha256"
"""Attribute of the root: SHA-256 of its document, which repeats all others, without this."""

Codecs = Callable[[Array], list[dict[str, Any]]]
"""Of an array: the codecs of its chunks, as a document lists them."""


def array_document(array: Array, codecs: Codecs | None = None) -> dict[str, Any]:
    """The array's `zarr.json`; every chunk has a checksum, so corruption never reads as numbers.

    Args:
        codecs: What the array's chunks are encoded with; None: with those of this format.
    """
    chosen = codecs(array) if codecs and array.labels is None else default_codecs(array)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(array.shape),
        "data_type": array.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(array.chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": "NaN" if array.fill != array.fill else array.fill,
        "codecs": chosen if array.parts is None else [_sharding(chosen, array.parts)],
        "attributes": dict(array.attributes),
        "dimension_names": list(array.axes),
        "storage_transformers": [],
    }


def _sharding(codecs: list[dict[str, Any]], parts: tuple[int, ...]) -> dict[str, Any]:
    """A chunk file of many parts, each of which is read alone."""
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    configuration = {
        "chunk_shape": list(parts),
        "codecs": codecs,
        "index_codecs": index,
        "index_location": "end",
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def default_codecs(array: Array) -> list[dict[str, Any]]:
    """What a chunk, or a part of it, is encoded with in a Zarr store."""
    is_text = array.dtype == "string"
    blosc = {
        "typesize": WIDTHS[array.dtype],
        "cname": "zstd",
        "clevel": LEVEL,
        "shuffle": "shuffle" if WIDTHS[array.dtype] > 1 else "noshuffle",
        "blocksize": 0,
    }
    serialiser = (
        {"name": "vlen-utf8"}
        if is_text
        else {"name": "bytes", "configuration": {"endian": "little"}}
    )
    return [serialiser, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]


def documents(
    schema: Mapping[str, Node], codecs: Codecs | None = None
) -> dict[str, dict[str, Any]]:
    """Every `zarr.json` of a store by the name of its file, the root's last.

    The root's repeats all others, as zarr-python's consolidated metadata: one read opens the store,
    and a reader never meets a store that is half grown.

    Args:
        codecs: As `array_document` says.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in schema.values():
        for array in node.arrays.values():
            found[f"{node.path}/{array.name}"] = array_document(array, codecs)
        if node.path:
            found[node.path] = _group_document(node)
    root = _group_document(schema[""])
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": dict(sorted(found.items())),
    }
    return in_files(seal(root))


def in_files(root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A root's document, last, after all those that it lists, by the names of their files."""
    listed: dict[str, dict[str, Any]] = root["consolidated_metadata"]["metadata"]
    named = {f"{path}/{METADATA}": document for path, document in listed.items()}
    return {**named, METADATA: root}


def seal(root: Mapping[str, Any]) -> dict[str, Any]:
    """A root's document with its checksum, in the place of another one."""
    attributes = {name: value for name, value in root["attributes"].items() if name != SEAL}
    bare = {**root, "attributes": attributes}
    return {**bare, "attributes": attributes | {SEAL: hashlib.sha256(to_json(bare)).hexdigest()}}


def read_sealed(content: bytes) -> dict[str, dict[str, Any]]:
    """What `documents` gave, from the root's file; nothing if that is not as it was written."""
    try:
        root = json.loads(content)
        return in_files(root) if to_json(seal(root)) == content else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _group_document(node: Node) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(node.attributes)}


def encode(array: Array, region: tuple[slice, ...], values: np.ndarray) -> dict[str, bytes]:
    """Chunk files, by name, that hold `values` at a region of the array.

    The region must cover every chunk that it touches, up to the end of the array.
    """
    if array.dtype == "string":
        return _write_text(array, region, values)
    return {name: encode_chunk(array, chunk) for name, chunk in split(array, region, values)}


def _write_text(array: Array, region: tuple[slice, ...], values: np.ndarray) -> dict[str, bytes]:
    document = Buffer.from_bytes(to_json(array_document(array)))
    memory: dict[str, Any] = {METADATA: document}
    with _settings():
        target = zarr.open_array(MemoryStore(memory), mode="r+", zarr_format=3)
        target[region] = values
    return {name: chunk.to_bytes() for name, chunk in memory.items() if name != METADATA}


def decode(array: Array, name: str, chunk: bytes) -> np.ndarray:
    """The values in a chunk file, up to the end of the array.

    Raises:
        CorruptionError: Its checksum or its encoding is broken.
    """
    region = chunk_region(array, chunk_index(name))
    try:
        if array.dtype == "string":
            return _read_text(array, name, chunk, region)
        values = decode_chunk(array, chunk)
    # Whatever codecs raise where bytes make no sense to them; there is no common class.
    except Exception as error:
        raise CorruptionError(f"it cannot be decoded ({error})") from error
    return values[tuple(slice(0, part.stop - part.start) for part in region)]


def _read_text(array: Array, name: str, chunk: bytes, region: tuple[slice, ...]) -> np.ndarray:
    document = Buffer.from_bytes(to_json(array_document(array)))
    memory: dict[str, Any] = {METADATA: document, name: Buffer.from_bytes(chunk)}
    with _settings():
        source = zarr.open_array(MemoryStore(memory), mode="r", zarr_format=3)
        return np.asarray(source[region])


def encode_labels(array: Array) -> dict[str, bytes]:
    """Chunk files, by name, of a coordinate."""
    dtype = np.dtypes.StringDType() if array.dtype == "string" else np.dtype(array.dtype)
    return encode(array, (slice(0, array.shape[0]),), np.array(array.labels, dtype=dtype))


def read_array(folder: Path) -> np.ndarray:
    """All values of an array that lies in a folder; meant for coordinates."""
    with _settings():
        return np.asarray(zarr.open_array(LocalStore(folder, read_only=True), mode="r")[...])


def _settings() -> AbstractContextManager[Any]:
    """How zarr-python must behave for bytes to be safe and reproducible.

    Raises:
        UserError: It is set to write with zarrs, whose files are not replaced atomically.
    """
    pipeline = str(zarr.config.get("codec_pipeline.path"))
    if "zarrs" in pipeline:
        raise UserError(
            f"zarr is configured to use the codec pipeline {pipeline}, which mtljobs does not use: "
            "it replaces no file atomically. Unset ZARR_CODEC_PIPELINE__PATH, or remove the line "
            "from zarr's configuration file."
        )
    numcodecs.blosc.use_threads = False  # One shard, one core; and bytes by content alone.
    settings: AbstractContextManager[Any] = zarr.config.set(
        {
            "array.write_empty_chunks": True,  # Else "all NaN" and "not run" look the same.
            "async.concurrency": 2,
            "threading.max_workers": 2,
        }
    )
    return settings
