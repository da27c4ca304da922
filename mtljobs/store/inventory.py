"""Which results a run has: every record that stands somewhere, and where its files lie."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder, Workspace, result_folder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.findings import Finding
from mtljobs.store.inputs import inputs_name

AGAIN = "--requeue makes room for it to be computed again"
"""What to do about a shard whose results are damaged."""


@dataclass(frozen=True)
class Place:
    """Where one shard's results are.

    Attributes:
        record: File of the record.
        folders: Where a file of the record may lie, the first that has it: a merge that was
            killed has moved some of a commit's files.
    """

    record: Path
    folders: tuple[Path, ...]

    def locate(self, name: str) -> Path:
        """The file that a record calls by a name; it need not exist."""
        *others, last = self.folders
        return next((folder / name for folder in others if (folder / name).exists()), last / name)


@dataclass(frozen=True)
class Held:
    """A shard with a record."""

    shard: str
    record: Record
    place: Place

    @property
    def is_shared(self) -> bool:
        """Whether its files lie in a folder of their own for good."""
        return self.place.folders == (self.place.record.parent,)


@dataclass(frozen=True)
class Inventory:
    """What a run has.

    Attributes:
        held: Shards with a record.
        stored: Names of all files in the store.
        not_done: Names of planned shards that have none.
        findings: What is wrong with records.
    """

    run: RunFolder
    held: tuple[Held, ...]
    stored: frozenset[str]
    not_done: tuple[str, ...]
    findings: tuple[Finding, ...]


def take_inventory(run: RunFolder, workspace: Workspace, plan: Plan) -> Inventory:
    """Read every record of a run, and of what it shares with others.

    A merge may be running: it moves chunks first, then their record from the commits to the ledger,
    so the store is listed before the commits, and these before the ledger.
    """
    stored = frozenset(list_files(run.store))
    places = _find_places(run, workspace, plan)
    identities = {shard.name: shard.identity for shard in plan.shards} | {
        inputs_name(name, layout): layout.inputs for name, layout in plan.layouts.items()
    }
    read = [_read(shard, looked_at, identities) for shard, looked_at in places.items()]
    lost = list(_find_lost(run, workspace, plan, places.keys()))
    return Inventory(
        run=run,
        held=tuple(found for found in read if isinstance(found, Held)),
        stored=stored,
        not_done=tuple(shard.name for shard in plan.shards[:-1] if shard.name not in places),
        findings=(*(found for found in read if isinstance(found, Finding)), *lost),
    )


def list_files(folder: Path) -> Iterator[str]:
    """Every file below a folder by its path there; none where there is no folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name).relative_to(folder).as_posix()


def _find_places(run: RunFolder, workspace: Workspace, plan: Plan) -> dict[str, tuple[Place, ...]]:
    """Where the record of each shard may stand that has left a trace, in the order to look."""
    places: dict[str, tuple[Place, ...]] = {
        shard.name: (Place(folder / RECORD, (folder,)),)
        for shard in plan.shards[:-1]
        if shard.shared and (folder := result_folder(workspace, run, shard)).is_dir()
    }
    names = {path.name for path in _listed(run.committed) if path.is_dir()}
    names |= {path.stem for path in _listed(run.ledger) if path.suffix == ".json"}
    for name in names:
        merged = Place(run.ledger / f"{name}.json", (run.store,))
        folder = run.committed / name
        # Twice, as a merge may move the record from the second place to the first meanwhile.
        places[name] = (merged, Place(folder / RECORD, (folder, run.store))) * 2
    return dict(sorted(places.items()))


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _read(shard: str, places: Sequence[Place], identities: Mapping[str, str]) -> Held | Finding:
    for place in places:
        try:
            record = read_record(place.record)
        except FileNotFoundError:
            continue
        except CorruptionError as error:
            return Finding("broken record", place.record, shard, str(error))
        return _identified(Held(shard, record, place), identities)
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
            f"{record.identity[:12]}, which it does not have: --requeue moves it into quarantine",
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
