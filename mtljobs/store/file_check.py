"""Whether every file is there that ought to be, as it was written, and no other."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from mtljobs.ledger.files import is_folder, is_unfinished
from mtljobs.ledger.records import RECORD
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.inventory import AGAIN, Held, Inventory, list_folder
from mtljobs.store.sources import FolderSource, Source

AWAY = "--requeue moves it into quarantine"


def check_files(held: Held, *, reads: bool, checked: Checked) -> Iterator[Finding]:
    """The files that one record lists: there, as long as they were, and of the same bytes?

    Args:
        reads: Hash them; else their lengths alone are looked at.
    """
    for name, (sha256, size) in held.record.files.items():
        source = held.place.find(name)
        checked.files += 1
        found = source.size(name)
        if found is None:
            detail = f"expected {size} bytes, found nothing: {AGAIN}"
            yield Finding("missing file", source.path(name), held.shard, detail)
        elif found != size:
            detail = f"expected {size} bytes, found {found}: {AGAIN}"
            yield Finding("changed file", source.path(name), held.shard, detail)
        elif reads:
            checked.bytes += size
            actual = try_hash(source, name)
            if actual != sha256:
                detail = f"expected sha256 {sha256}, found {actual}: {AGAIN}"
                yield Finding("changed file", source.path(name), held.shard, detail)


def try_hash(source: Source, name: str) -> str:
    """SHA-256 of a file, or why a disk does not give it: the next file may be whole."""
    try:
        return source.hash(name)
    except OSError as error:
        return error.strerror or str(error)


def find_unknown(inventory: Inventory, own_files: Collection[str]) -> Iterator[Finding]:
    """Files among results that nobody lists.

    Args:
        own_files: What the store has besides results.
    """
    run = inventory.run
    listed = {name for held in inventory.held for name in held.record.files}
    for name in sorted(inventory.stored - listed - set(own_files)):
        yield _unknown(inventory.merged.path(name), "of the store that a record or the plan lists")
    for path in list_folder(run.ledger):
        if path.suffix != ".json" and not is_unfinished(path):
            yield _unknown(path, "that are records")
    for path in list_folder(run.committed):
        if not is_folder(path):
            yield _unknown(path, "in folders of commits")
    for held in inventory.held:
        folder = held.place.record.parent
        if folder != run.ledger:
            for name in sorted(
                set(FolderSource(folder).names()) - held.record.files.keys() - {RECORD}
            ):
                yield _unknown(folder / name, "that the record beside them lists")


def _unknown(path: Path, expected: str) -> Finding:
    detail = f"expected only files {expected}, found this one: {AWAY}"
    return Finding("unknown file", path, None, detail)
