"""A run's results held against its plan and its records: `mtljobs verify`, but for the tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Literal

from mtljobs.contracts import Progress
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import Backend, Schema, load_backend, read_part
from mtljobs.store.file_check import AWAY, check_files, find_unknown
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.inventory import Inventory, take_inventory
from mtljobs.store.leftovers import find_leftovers
from mtljobs.store.plan_check import check_growth, check_plans, read_plans
from mtljobs.store.schema import build_schema
from mtljobs.store.unreadable import find_unreadable, leave_unknown
from mtljobs.store.values import check_values, find_missing_items, read_n_segments

Level = Literal["quick", "default", "decode"]
"""How much is read: names, sizes and metadata; every byte; every number."""


def check_store(
    run: RunFolder,
    workspace: Workspace,
    plan: Plan,
    *,
    level: Level,
    checked: Checked,
    progress: Progress,
) -> Iterator[Finding]:
    """Everything that is wrong with a run's results, one finding for a file.

    Changes nothing, and may run beside workers and merges.
    """
    unreadable = list(find_unreadable(run, workspace, plan))
    yield from unreadable
    backend = load_backend(plan.backend)
    inventory = take_inventory(run, workspace, plan, backend)
    checked.shards, checked.not_done = len(inventory.held), len(inventory.not_done)
    reads = level != "quick"
    found = chain(
        check_growth(run, plan),
        check_plans(run, plan) if reads else (),
        inventory.findings,
        _check_own_files(inventory, backend, reads=reads),
        find_unknown(inventory, backend.own_files(build_schema(plan.layouts))),
        _find_other_store(run, backend),
        find_leftovers(run, workspace),
        _check_shards(inventory, backend, plan, level=level, checked=checked, progress=progress),
    )
    # What cannot be read would count as missing.
    yield from leave_unknown(found, [finding.path for finding in unreadable], run)


def _check_own_files(inventory: Inventory, backend: Backend, *, reads: bool) -> Iterator[Finding]:
    """What is wrong with metadata and coordinates; a first merge may not have written all yet."""
    run = inventory.run
    is_merged = any(held.place.record.parent == run.ledger for held in inventory.held)
    for finding in backend.check_own_files(backend.path(run), _schemas(run), reads=reads):
        if is_merged or finding.kind != "missing file":
            yield finding


def _find_other_store(run: RunFolder, backend: Backend) -> Iterator[Finding]:
    """What lies where a run of the other backend has its store, and is not to be taken for ours."""
    store = backend.path(run)
    for path in {run.store, run.store_file} - {store}:
        if os.path.lexists(path):
            detail = f"expected {store.name} alone, as the plan says, found this too: {AWAY}"
            yield Finding("unknown file", path, None, detail)


def _schemas(run: RunFolder) -> Iterator[Schema]:
    """Of the run's plans that can be read, the newest first."""
    return (build_schema(plan.layouts) for _, plan in read_plans(run) if isinstance(plan, Plan))


def _check_shards(
    inventory: Inventory,
    backend: Backend,
    plan: Plan,
    *,
    level: Level,
    checked: Checked,
    progress: Progress,
) -> Iterator[Finding]:
    decode = partial(read_part, backend, build_schema(plan.layouts))
    own = [held for held in inventory.held if not held.is_shared]
    counts = read_n_segments(own, decode, plan.layouts) if level == "decode" else {}
    for index, held in enumerate(inventory.held):
        damaged = set()
        findings = [check_files(held, reads=level != "quick", checked=checked)]
        if level == "decode" and not held.is_shared:
            findings.append(check_values(held, decode, n_segments=counts, checked=checked))
        if not held.is_shared:
            findings.append(find_missing_items(held, decode, checked))
        for finding in chain.from_iterable(findings):
            # That a changed chunk cannot be decoded either is no news.
            if finding.kind != "unreadable chunk" or finding.path not in damaged:
                yield finding
            damaged.add(finding.path)
        progress(index + 1, len(inventory.held), "shards")
