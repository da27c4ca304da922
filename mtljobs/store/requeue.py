"""Results out of the way, so that they are due again: `mtljobs verify --requeue`.

Every step is one rename, and the record goes first: from then on its shard counts as not done, and
the merge may replace its chunks, which belong to nobody. Whatever step is the last one: what is
left of a shard's old chunks is replaced by the new ones, and is named by the next check until
then. Nothing is deleted; all of it lies in the run's quarantine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mtljobs.errors import CorruptionError
from mtljobs.ledger.commit import new_staging, withdraw
from mtljobs.ledger.files import is_folder, sync_folder
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import load_backend
from mtljobs.store.chunks import ChunkName
from mtljobs.store.findings import Finding, Kind
from mtljobs.store.schema import build_schema
from mtljobs.store.writer import Writer

LOOSE: frozenset[Kind] = frozenset({"unknown file", "wrong metadata"})
"""Kinds of findings about a file that is no shard's; a store's own are written anew by a merge."""


def requeue(
    run: RunFolder, workspace: Workspace, plan: Plan, findings: Iterable[Finding], *, writer: Writer
) -> dict[str, Path]:
    """Move what findings are about into quarantine.

    A network that is damaged is due again by itself. What was explained with it stays: that was
    computed from the bytes that its identity stands for, as every stage checks what it loads.

    Args:
        findings: Of a check that was made by `writer`; damage, or missing items.
        writer: Of the store.

    Returns:
        Shard, or file that is no shard's -> where it lies now.

    Raises:
        InputMissing: The claim was lost.
    """
    findings = tuple(findings)
    shared = {
        shard.name: result_folder(workspace, run, shard) for shard in plan.shards if shard.shared
    }
    moved: dict[str, Path] = {}
    out_of_store: dict[str, Path] = {}
    for shard in sorted({finding.shard for finding in findings if finding.shard is not None}):
        writer.renew()
        for folder in (shared.get(shard, run.committed / shard), run.ledger / f"{shard}.json"):
            if is_folder(folder):
                moved[shard] = withdraw(folder, run.quarantine)
            elif os.path.lexists(folder):
                moved[shard] = new_staging(run.quarantine, shard)
                names = _withdraw_record(run, folder, moved[shard])
                out_of_store |= dict.fromkeys(names, moved[shard])
    loose = sorted({finding.path for finding in findings if finding.kind in LOOSE})
    target = new_staging(run.quarantine, "files") if loose else run.quarantine
    backend = load_backend(plan.backend)
    store = backend.path(run)
    for path in loose:
        moved[str(path)] = target / path.relative_to(workspace.root)
        if path.is_relative_to(store):
            name = path.relative_to(store).as_posix()
            out_of_store[name] = target / store.relative_to(workspace.root)
        elif os.path.lexists(path):
            writer.renew()
            create_folder(moved[str(path)].parent)
            path.rename(moved[str(path)])
    backend.withdraw(store, build_schema(plan.layouts), out_of_store, writer=writer)
    return moved


def _withdraw_record(run: RunFolder, record: Path, target: Path) -> list[str]:
    """Move a record of merged results away; the files that it lists, `status` first.

    That is the opposite of the merge's order: an item that says that it is done is whole.
    """
    try:
        names = sorted(read_record(record).files, key=lambda name: not ChunkName.of(name).says_done)
    except (CorruptionError, OSError):
        names = []  # whose its chunks are nobody knows: they are unknown files
    record.rename(target / RECORD)
    sync_folder(run.ledger)
    return names
