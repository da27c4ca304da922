"""What a later plan may change in a store: sparsities and seeds at their ends, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtljobs.errors import StaleSlotError
from mtljobs.store.schema import GROWING, Array, Node

Document = dict[str, Any]
"""What a store says of a node or an array. `attributes` everywhere, `shape` and `dimension_names`
of arrays; everything else, which differs between backends, must not change."""

Documents = Mapping[str, Document]
"""By the names that the backend has for them."""

_GROWN = ("sparsities", "seeds")
"""Settings of an experiment that a later plan may lengthen."""

_FIXED = ("schema_version", "inputs", "maps", "tasks")
"""Attributes of nodes that mean something for what is already there."""


def coordinates(schema: Mapping[str, Node]) -> dict[str, Array]:
    """Every coordinate by its path."""
    return {
        f"{node.path}/{array.name}": array
        for node in schema.values()
        for array in node.arrays.values()
        if array.labels is not None
    }


def check_growth(
    old: Documents, new: Documents, *, labels: Mapping[str, list[Any]], schema: Mapping[str, Node]
) -> None:
    """Return where a store may grow to a plan.

    Args:
        old: What the store says now.
        new: What it would say.
        labels: Of the coordinates that the store has, by path.
        schema: Of the plan.

    Raises:
        StaleSlotError: The plan would change anything but lengthen sparsity and seed.
    """
    lost = sorted(key.removesuffix("/zarr.json") for key in old if key not in new)
    if lost:
        raise _refusal(f"the store holds {', '.join(lost)}, which the plan does not know")
    for key, document in old.items():
        _check_document(key, document, new[key])
    for path, array in coordinates(schema).items():
        _check_labels(path, labels.get(path, []), array)


def is_grown(
    old: Documents, new: Documents, *, labels: Mapping[str, list[Any]], schema: Mapping[str, Node]
) -> bool:
    """Whether a store has grown to a plan, also where another release has described it otherwise.

    Args:
        old, new, labels, schema: As of `check_growth`.
    """
    try:
        check_growth(old, new, labels=labels, schema=schema)
    except StaleSlotError:
        return False
    return all(document.get("shape") == new[key].get("shape") for key, document in old.items())


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
