"""What a Zarr store consists of besides results: how it grows, and whether it is as planned."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import read_file, read_json, replace_file, to_json
from mtljobs.ledger.paths import create_folder
from mtljobs.store import growth
from mtljobs.store.backend import Schema
from mtljobs.store.chunks import ChunkName, chunk_name, find_array, is_chunk
from mtljobs.store.findings import Finding
from mtljobs.store.growth import Document, coordinates
from mtljobs.store.zarr_format import (
    METADATA,
    Codecs,
    decode,
    documents,
    encode_labels,
    in_files,
    read_array,
    read_sealed,
)

ANEW = "--requeue moves it away and `mtljobs reduce` writes it anew"

Content = dict[str, bytes]
"""Own files of a store by name, as one plan and one release give them."""


def own_files(schema: Schema) -> set[str]:
    """Names of every `zarr.json` and of every chunk of a coordinate."""
    labels = {
        f"{path}/{chunk_name(index)}"
        for path, array in coordinates(schema).items()
        for index in np.ndindex(array.chunk_counts())
    }
    return labels | documents(schema).keys()


def own_contents(schema: Schema, codecs: Codecs | None = None) -> Content:
    """What these files hold; `codecs` as `array_document` says."""
    return _encode(documents(schema, codecs), schema)


def _encode(found: Mapping[str, Document], schema: Schema) -> Content:
    """Documents, and the labels of the coordinates that these know."""
    files = {key: to_json(document) for key, document in found.items()}
    for path, array in coordinates(schema).items():
        if f"{path}/{METADATA}" in found:
            files |= {f"{path}/{name}": chunk for name, chunk in encode_labels(array).items()}
    return files


def check_growth(store: Path, schema: Schema) -> None:
    """Return where the store may grow to a plan; as `Backend` says."""
    new = documents(schema)
    old = {key: read_json(store / key) for key in new if (store / key).exists()}
    if METADATA in old:
        old = in_files(old[METADATA]) | old
    labels = {path: _read_labels(store / path) for path in coordinates(schema)}
    growth.check_growth(old, new, labels=labels, schema=schema)


def grow(store: Path, schema: Schema, *, aside: Path) -> None:
    """Bring a store's metadata and coordinates to the newest plan; never touches a result.

    Killed halfway, it leaves a store that readers see as it was: the root's document, which they
    read first, is replaced last, and a longer coordinate begins like the shorter one.
    """
    new = documents(schema)
    is_grown = _read(store / METADATA) == to_json(new[METADATA])
    for path, array in coordinates(schema).items():
        if is_grown and (store / path / chunk_name((0,))).exists():
            continue
        if _read_labels(store / path) != list(array.labels or ()):
            for name, chunk in encode_labels(array).items():
                _update(store / path / name, chunk, aside=aside)
    for key, document in new.items():
        _update(store / key, to_json(document), aside=aside)


def _update(path: Path, content: bytes, *, aside: Path) -> None:
    if _read(path) != content:
        create_folder(path.parent)
        replace_file(path, content, aside=aside)


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
    else:
        grown += _of_another_release(root, [schema for schema, _ in grown])
    for name in grown[0][1]:
        yield from _check(store / name, name, grown)


def _of_another_release(root: bytes | None, schemas: list[Schema]) -> list[tuple[Schema, Content]]:
    """What the files hold of a store that another release wrote, which describes it otherwise.

    What they say is in the root's document, by whose checksum one knows that it was written so; the
    plan is the newest that gives the same but for descriptions and for what that release lacked.
    """
    found = read_sealed(root or b"")
    return [
        (schema, _encode(found, schema))
        for schema in schemas
        if found and growth.is_grown(found, documents(schema), labels={}, schema=schema)
    ][:1]


def _check(path: Path, name: str, grown: list[tuple[Schema, Content]]) -> Iterator[Finding]:
    found = _read(path)
    expected = [content[name] for _, content in grown if name in content]
    if found in expected or any(_is_equivalent(schema, name, found) for schema, _ in grown):
        return
    if found is not None or os.path.lexists(path):
        other = "what cannot be read" if found is None else f"other {len(found)}"
        detail = f"expected the {len(expected[0])} bytes that the plan gives, found {other}: {ANEW}"
        yield Finding("wrong metadata", path, None, detail)
    elif name in grown[-1][1]:
        detail = f"expected the {len(expected[0])} bytes that the plan gives, found nothing"
        yield Finding("missing file", path, None, f"{detail}: `mtljobs reduce` writes it anew")


def _is_equivalent(schema: Schema, name: str, found: bytes | None) -> bool:
    """Whether a coordinate holds the plan's labels, as another release of zstd compressed them."""
    array, chunk = find_array(schema, name), ChunkName.of(name).chunk
    if array is None or array.labels is None or found is None or not is_chunk(array, chunk):
        return False
    try:
        labels = decode(array, chunk, found).tolist()
    except CorruptionError:
        return False
    return bool(labels == list(array.labels))


def _read_labels(folder: Path) -> list[Any]:
    """The labels of a coordinate as the store has them; none where there are none yet."""
    if not (folder / METADATA).exists() or not (folder / chunk_name((0,))).exists():
        return []
    try:
        return list(read_array(folder).tolist())
    except ValueError as error:
        raise CorruptionError(
            f"The coordinate in {folder} cannot be read ({error}). It follows from the plan: "
            "`mtljobs verify --requeue` moves its files away, and the next merge writes them anew."
        ) from error


def _read(path: Path) -> bytes | None:
    """What a file holds; None where there is none, or none that can be read."""
    try:
        return read_file(path)
    except OSError:
        return None
