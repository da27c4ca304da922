"""How a store comes to be and grows: metadata and coordinates follow the plan, chunks stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtljobs.errors import CorruptionError, StaleSlotError
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import create_folder
from mtljobs.store.schema import GROWING, Array, Node
from mtljobs.store.zarr_format import METADATA, chunk_name, documents, encode_labels, read_array

Document = dict[str, Any]

_GROWN = ("sparsities", "seeds")
"""Settings of an experiment that a later plan may lengthen."""

_FIXED = ("schema_version", "inputs", "maps", "tasks")
"""Attributes of nodes that mean something for what is already there."""


def grow(store: Path, schema: Mapping[str, Node], *, aside: Path) -> None:
    """Bring a store's metadata and coordinates to the newest plan; never touches a result.

    Killed halfway, it leaves a store that readers see as it was: the root's document, which they
    read first, is replaced last, and a longer coordinate begins like the shorter one.

    Args:
        store: Folder of the store; made where it is missing.
        schema: Of the newest plan.
        aside: Private folder on the same file system for unfinished files.

    Raises:
        StaleSlotError: The plan would change anything but lengthen sparsity and seed; nothing
            was changed.
        CorruptionError: A coordinate cannot be read.
    """
    new = documents(schema)
    coordinates = {
        f"{node.path}/{array.name}": array
        for node in schema.values()
        for array in node.arrays.values()
        if array.labels is not None
    }
    labels = {path: _read_labels(store / path) for path in coordinates}
    _check_documents(store, new)
    for path, array in coordinates.items():
        _check_labels(path, labels[path], array)
    for path, array in coordinates.items():
        if labels[path] != list(array.labels or ()):
            for name, chunk in encode_labels(array).items():
                _update(store / path / name, chunk, aside=aside)
    for key, document in new.items():
        _update(store / key, to_json(document), aside=aside)


def _update(path: Path, content: bytes, *, aside: Path) -> None:
    if not path.exists() or path.read_bytes() != content:
        create_folder(path.parent)
        replace_file(path, content, aside=aside)


def _read_labels(folder: Path) -> list[Any]:
    """The labels of a coordinate as the store has them; none where there are none yet."""
    if not (folder / METADATA).exists() or not (folder / chunk_name((0,))).exists():
        return []
    try:
        return list(read_array(folder).tolist())
    except ValueError as error:
        raise CorruptionError(
            f"The coordinate in {folder} cannot be read ({error}). It follows from the plan: "
            "remove its files that begin with 'c.' and merge again, which writes them anew."
        ) from error


def _check_documents(store: Path, new: Mapping[str, Document]) -> None:
    old = {key: read_json(store / key) for key in new if (store / key).exists()}
    if METADATA in old:
        listed = old[METADATA]["consolidated_metadata"]["metadata"]
        lost = sorted(path for path in listed if f"{path}/{METADATA}" not in new)
        if lost:
            raise _refusal(f"the store holds {', '.join(lost)}, which the plan does not know")
    for key, document in old.items():
        _check_document(key, document, new[key])


def _check_document(key: str, old: Document, new: Document) -> None:
    was, now = _essence(old), _essence(new)
    for name in was:
        if was[name] != now.get(name):
            raise _refusal(f"{key} has {name} = {was[name]}, the plan says {now.get(name)}")
    shapes = old.get("shape", []), new.get("shape", [])
    for axis, before, after in zip(was["axes"], *shapes, strict=True):
        if after < before or (after > before and axis not in GROWING):
            raise _refusal(f"{key} has {before} along {axis}, the plan says {after}")


def _essence(document: Document) -> Document:
    """What must never change in a document: all but the shape of an array and descriptions."""
    attributes = document["attributes"]
    kept = {name: attributes[name] for name in _FIXED if name in attributes}
    settings = json.loads(attributes.get("settings", "{}"))
    kept |= {f"settings {name}": settings[name] for name in settings if name not in _GROWN}
    kept["axes"] = document.get("dimension_names", [])
    return kept | {
        name: value
        for name, value in document.items()
        if name not in {"attributes", "shape", "consolidated_metadata"}
    }


def _check_labels(path: str, was: list[Any], array: Array) -> None:
    now = list(array.labels or ())
    for before, after in zip(was, now, strict=False):
        if before != after:
            raise _refusal(f"{path} has the label {before!r} where the plan says {after!r}")


def _refusal(what: str) -> StaleSlotError:
    return StaleSlotError(
        f"The store does not fit the plan: {what}. Of an experiment in a store only the sparsities "
        "and seeds grow, at their ends; nothing was changed. Submit the new plan with --run NEW."
    )
