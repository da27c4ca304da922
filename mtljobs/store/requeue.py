"""Damaged results out of the way, so that they are due again: `mtljobs verify --requeue`.

Every step is one rename, and the record goes first: from then on its shard counts as not done, and
the merge may replace its chunks, which belong to nobody. Whatever step is the last one: what is
left of a shard's old chunks is replaced by the new ones, and is named by the next check until
then. Nothing is deleted; all of it lies in the run's quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mtljobs.errors import CorruptionError
from mtljobs.ledger.claims import Claim
from mtljobs.ledger.commit import new_staging, withdraw
from mtljobs.ledger.files import sync_folder
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder, result_folder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.findings import Finding, Kind
from mtljobs.store.merge import renew

LOOSE: frozenset[Kind] = frozenset({"unknown file", "wrong metadata"})
"""Kinds of findings about a file of its own; a store's metadata is written anew by a merge."""


def requeue(
    run: RunFolder, workspace: Workspace, plan: Plan, findings: Iterable[Finding], *, claim: Claim
) -> dict[str, Path]:
    """Move what is damaged into quarantine.

    A network that is damaged is due again by itself. What was explained with it stays: that was
    computed from the bytes that its identity stands for, as every stage checks what it loads.

    Args:
        findings: Of a check that was made while `claim` was held.
        claim: Of the store's sole writer.

    Returns:
        Shard, or file that is no shard's -> where it lies now.

    Raises:
        InputMissing: The claim was lost.
    """
    damage = [finding for finding in findings if not finding.is_note]
    shared = {
        shard.name: result_folder(workspace, run, shard) for shard in plan.shards if shard.shared
    }
    moved: dict[str, Path] = {}
    for shard in sorted({finding.shard for finding in damage if finding.shard is not None}):
        renew(claim)
        for folder in (shared.get(shard, run.committed / shard), run.ledger / f"{shard}.json"):
            if folder.is_dir():
                moved[shard] = withdraw(folder, run.quarantine)
            elif folder.exists():
                moved[shard] = _withdraw_merged(run, shard, folder)
    loose = [finding.path for finding in damage if finding.kind in LOOSE and finding.path.exists()]
    return moved | _withdraw_files(run, workspace, loose, claim=claim)


def _withdraw_merged(run: RunFolder, shard: str, record: Path) -> Path:
    try:
        names = sorted(read_record(record).files, key=_moves_late)
    except CorruptionError:
        names = []  # whose its chunks are nobody knows: they are unknown files
    target = new_staging(run.quarantine, shard)
    record.rename(target / RECORD)
    sync_folder(run.ledger)
    for name in names:
        if (run.store / name).exists():
            create_folder((target / name).parent)
            (run.store / name).rename(target / name)
    return target


def _moves_late(name: str) -> bool:
    """The opposite order of the merge's: an item that says that it is done is whole."""
    return PurePosixPath(name).parent.name != "status"


def _withdraw_files(
    run: RunFolder, workspace: Workspace, paths: Iterable[Path], *, claim: Claim
) -> dict[str, Path]:
    moved = {}
    target = None
    for path in paths:
        renew(claim)
        target = target or new_staging(run.quarantine, "files")
        place = target / path.relative_to(workspace.root)
        create_folder(place.parent)
        path.rename(place)
        moved[str(path)] = place
    return moved
