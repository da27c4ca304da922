"""Identities as they are now, and `python tests/golden/regenerate.py`, which writes them down.

Every network and result on a user's disk is found by its identity. An identity that changes without
need makes them all be computed again; one that should have changed and did not gives out the old
result for the new question. So a change here is either

- a new field: declare it with `metadata=since("<release>")`, and nothing here changes;
- a change of meaning: raise the `version` of the settings class, run this file, and say in
  CHANGELOG.md that results change;
- a new settings class, or a grid of `jobs/` that was edited: run this file, and see in the diff
  that nothing else has changed.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import mtljobs.settings
from mtljobs.cluster.proposal import propose
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.frozen import Plan
from mtljobs.settings import canonical

GOLDEN = Path(__file__).with_name("identities.json")
GRIDS = ("demo", "paper", "smoke")
REQUIRED = "(required)"


def identities() -> dict[str, Any]:
    """What `identities.json` holds: defaults per settings class; networks and cells per grid."""
    return {
        "defaults": {cls.__name__: defaults(cls) for cls in versioned_classes()},
        "grids": {name: grid_identities(name) for name in GRIDS},
    }


def versioned_classes() -> Iterator[type]:
    """Every settings class that enters identities: those with a version, page by page."""
    for page in pkgutil.iter_modules(mtljobs.settings.__path__, "mtljobs.settings."):
        for value in vars(importlib.import_module(page.name)).values():
            own = isinstance(value, type) and value.__module__ == page.name
            if own and hasattr(value, "version"):
                yield value


def defaults(cls: Any) -> dict[str, Any]:
    """The canonical form of a class's defaults; fields of later releases are not part of it."""
    fields = {
        field.name: REQUIRED if field.default is dataclasses.MISSING else canonical(field.default)
        for field in dataclasses.fields(cls)
        if "since" not in field.metadata
    }
    return {"version": cls.version, **fields}


def grid_identities(name: str) -> dict[str, Any]:
    """Settings of a shipped grid's experiments, and the identities that they lead to."""
    nowhere = Workspace(Path(gettempdir()) / "mtljobs-golden-never-written")
    plan = propose(name, workspace=nowhere).plan
    return {
        "settings": {key: layout.settings for key, layout in plan.layouts.items()},
        "networks": {
            f"{cell.experiment}-{cell.sparsity:g}-{cell.seed}": networks(plan, cell.shards)
            for cell in plan.cells
        },
        "cells": {
            f"{cell.experiment}-{cell.sparsity:g}-{cell.seed}": cell.identity for cell in plan.cells
        },
    }


def networks(plan: Plan, names: tuple[str, ...]) -> dict[str, str]:
    """Phase, after its place in the recipe, -> identity of a cell's networks."""
    shards = {shard.name: shard for shard in plan.shards if "phase" in shard.spec}
    chain = [shards[name] for name in names if name in shards]
    return {f"{place} {shard.spec['phase']}": shard.identity for place, shard in enumerate(chain)}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(identities(), indent=1) + "\n", encoding="utf-8")
