"""What a Zarr store consists of besides results, held against the plan; and chunks as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import to_json
from mtljobs.store.backend import Part, Schema
from mtljobs.store.findings import Finding
from mtljobs.store.schema import Array
from mtljobs.store.zarr_format import (
    METADATA,
    chunk_name,
    chunk_region,
    decode,
    documents,
    encode_labels,
    is_chunk,
)

ANEW = "--requeue moves it away and `mtljobs reduce` writes it anew"

Content = dict[str, bytes]
"""Own files of a store by name, as one plan gives them."""


def own_files(schema: Schema) -> set[str]:
    """Names of every `zarr.json` and of every chunk of a coordinate."""
    labels = {
        f"{node.path}/{array.name}/{chunk_name(index)}"
        for node in schema.values()
        for array in node.arrays.values()
        if array.labels is not None
        for index in np.ndindex(array.chunk_counts())
    }
    return labels | documents(schema).keys()


def own_contents(schema: Schema) -> Content:
    """What these files hold."""
    files = {key: to_json(document) for key, document in documents(schema).items()}
    for node in schema.values():
        for array in node.arrays.values():
            if array.labels is not None:
                chunks = encode_labels(array)
                files |= {f"{node.path}/{array.name}/{name}": chunks[name] for name in chunks}
    return files


def check_own_files(store: Path, schemas: Iterable[Schema]) -> Iterator[Finding]:
    """Hold each of a store's own files against what the plan gives.

    The root's document, which the merge writes last, tells which plan the store has grown to; a
    merge that was killed has written others as a newer plan gives them.
    """
    grown: list[tuple[Schema, Content]] = []
    root = _read(store / METADATA)
    for schema in schemas:
        grown.append((schema, own_contents(schema)))
        if grown[-1][1][METADATA] == root:
            break
    for name in grown[0][1]:
        yield from _check(store / name, name, grown)


def _check(path: Path, name: str, grown: list[tuple[Schema, Content]]) -> Iterator[Finding]:
    found = _read(path)
    expected = [content[name] for _, content in grown if name in content]
    if found in expected or any(_is_equivalent(schema, name, found) for schema, _ in grown):
        return
    if found is not None:
        detail = f"expected the {len(expected[0])} bytes that the plan gives, found other"
        yield Finding("wrong metadata", path, None, f"{detail} {len(found)}: {ANEW}")
    elif name in grown[-1][1]:
        detail = f"expected the {len(expected[0])} bytes that the plan gives, found nothing"
        yield Finding("missing file", path, None, f"{detail}: `mtljobs reduce` writes it anew")


def _is_equivalent(schema: Schema, name: str, found: bytes | None) -> bool:
    """Whether a coordinate holds the plan's labels, as another release of zstd compressed them."""
    array = _find(schema, name)
    if array is None or array.labels is None or found is None:
        return False
    try:
        labels = decode(array, PurePosixPath(name).name, found).tolist()
    except CorruptionError:
        return False
    return bool(labels == list(array.labels))


def decode_result(schema: Schema, name: str, content: bytes) -> Part:
    """The values in a chunk, without what reaches beyond the array.

    Raises:
        CorruptionError: It is no chunk of the plan's arrays, or its checksum or encoding is broken.
    """
    array = _find(schema, name)
    if array is None:
        raise CorruptionError(f"{name} is no chunk of an array that the plan has")
    path = PurePosixPath(name)
    where = dict(zip(array.axes, chunk_region(array, path.name), strict=True))
    return Part(str(path.parent.parent), array.name, where, decode(array, path.name, content))


def _find(schema: Schema, name: str) -> Array | None:
    path = PurePosixPath(name)
    node = schema.get(str(path.parent.parent))
    array = node.arrays.get(path.parent.name) if node else None
    return array if array is not None and is_chunk(array, path.name) else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
