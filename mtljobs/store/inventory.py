"""Which results a run has: every record that stands somewhere, and where its files lie."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import is_folder
from mtljobs.ledger.paths import RunFolder, Workspace, result_folder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import Backend
from mtljobs.store.findings import Finding
from mtljobs.store.inputs import inputs_name
from mtljobs.store.sources import FolderSource, Source

AGAIN = "--requeue makes room for it to be computed again"
"""What to do about a shard whose results are damaged."""


@dataclass(frozen=True)
class Place:
    """Where one shard's results are.

    Attributes:
        record: File of the record.
        sources: Where a file of the record may lie, the first that has it: a merge that was
            killed has moved some of a commit's files.
    """

    record: Path
    sources: tuple[Source, ...]

    def find(self, name: str) -> Source:
        """Where the file lies that a record calls by a name; the last where none has it."""
        *others, last = self.sources
        return next((source for source in others if source.size(name) is not None), last)

    def path(self, node: str) -> Path:
        """What to call a node of the store, once the files are there."""
        return self.sources[-1].path(node)


@dataclass(frozen=True)
class Held:
    """A shard with a record.

    Attributes:
        is_shared: Its files lie in a folder of their own for good, in no store.
    """

    shard: str
    record: Record
    place: Place
    is_shared: bool


@dataclass(frozen=True)
class Inventory:
    """What a run has.

    Attributes:
        held: Shards with a record.
        merged: The store.
        stored: Names of all files in it.
        not_done: Names of planned shards that have none.
        findings: What is wrong with records.
    """

    run: RunFolder
    held: tuple[Held, ...]
    merged: Source
    stored: frozenset[str]
    not_done: tuple[str, ...]
    findings: tuple[Finding, ...]


def take_inventory(run: RunFolder, workspace: Workspace, plan: Plan, backend: Backend) -> Inventory:
    """Read every record of a run, and of what it shares with others.

    A merge may be running: it moves chunks first, then their record from the commits to the ledger,
    so the store is listed before the commits, and these before the ledger.
    """
    merged = backend.merged(backend.path(run))
    try:
        stored = frozenset(merged.names())
    except CorruptionError:  # as the check of the store's own files says
        merged, stored = FolderSource(backend.path(run)), frozenset()
    places = _find_places(run, workspace, plan, merged)
    identities = {shard.name: shard.identity for shard in plan.shards} | {
        inputs_name(name, layout): layout.inputs for name, layout in plan.layouts.items()
    }
    read = [_read(shard, looked_at, identities) for shard, looked_at in places.items()]
    lost = list(_find_lost(run, workspace, plan, places.keys()))
    return Inventory(
        run=run,
        held=tuple(found for found in read if isinstance(found, Held)),
        merged=merged,
        stored=stored,
        not_done=tuple(shard.name for shard in plan.shards[:-1] if shard.name not in places),
        findings=(*(found for found in read if isinstance(found, Finding)), *lost),
    )


def _find_places(
    run: RunFolder, workspace: Workspace, plan: Plan, store: Source
) -> dict[str, tuple[Place, ...]]:
    """Where the record of each shard may stand that has left a trace, in the order to look."""
    places: dict[str, tuple[Place, ...]] = {
        shard.name: (Place(folder / RECORD, (FolderSource(folder),)),)
        for shard in plan.shards[:-1]
        if shard.shared and is_folder(folder := result_folder(workspace, run, shard))
    }
    committed, ledger = run.committed, run.ledger  # made once: of ten thousand, paths are slow
    names = {path.name for path in list_folder(committed) if is_folder(path)}
    names |= {path.stem for path in list_folder(ledger) if path.suffix == ".json"}
    for name in names:
        merged = Place(ledger / f"{name}.json", (store,))
        folder = committed / name
        # Twice, as a merge may move the record from the second place to the first meanwhile.
        places[name] = (merged, Place(folder / RECORD, (FolderSource(folder), store))) * 2
    return dict(sorted(places.items()))


def list_folder(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is not there, or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(shard: str, places: Sequence[Place], identities: Mapping[str, str]) -> Held | Finding:
    for place in places:
        try:
            record = read_record(place.record)
        except FileNotFoundError:
            continue
        except (CorruptionError, OSError) as error:
            return Finding("broken record", place.record, shard, str(error))
        is_shared = len(place.sources) == 1 and place.record.name == RECORD
        return _identified(Held(shard, record, place, is_shared), identities)
    return Finding(
        "missing record",
        places[-1].record,
        shard,
        f"expected the record that lists the files beside it, found none: {AGAIN}",
    )


def _identified(held: Held, identities: Mapping[str, str]) -> Held | Finding:
    record, expected = held.record, identities.get(held.shard)
    if expected is None:
        return Finding(
            "unknown record",
            held.place.record,
            held.shard,
            f"expected records of the newest plan's shards, found one of identity "
            f"{record.identity[:12]}, which it does not have: where a plan was lost, submit its "
            "grid again; else --requeue moves the record into quarantine",
        )
    if (record.shard, record.identity) != (held.shard, expected):
        return Finding(
            "broken record",
            held.place.record,
            held.shard,
            f"expected the record of {held.shard}, identity {expected[:12]}, found that of "
            f"{record.shard}, identity {record.identity[:12]}: {AGAIN}",
        )
    return held


def _find_lost(
    run: RunFolder, workspace: Workspace, plan: Plan, there: Collection[str]
) -> Iterator[Finding]:
    """Shards that are gone without a trace, and that the results of others were made from."""
    children = {
        parent: shard.name
        for shard in plan.shards[:-1]
        if shard.name in there
        for parent in shard.parents
    }
    for shard in plan.shards:
        if shard.name in children and shard.name not in there:
            yield Finding(
                "missing record",
                result_folder(workspace, run, shard),
                shard.name,
                f"expected what {children[shard.name]} was made from, found nothing: `mtljobs "
                f"resume {run.name}` computes it again; beside a copied run, copy shared/ along",
            )
