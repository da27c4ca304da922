"""The merge: the only writer of a store, repeatable, and safe to kill at any instruction.

Every step is a rename or a file written aside, in an order in which the work that is left can be
read off what is there:

    1. metadata and coordinates grow to the newest plan; the root's document last
    2. per committed shard: check all files, move its chunks (`status` last), move its record
       to the ledger, remove what is left of its folder

A chunk is moved, never rewritten, and a shard with a record in the ledger is only cleaned up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mtljobs.contracts import ExperimentLayout, Record
from mtljobs.errors import CorruptionError, InputMissing, StaleSlotError
from mtljobs.ledger import claims
from mtljobs.ledger.commit import withdraw
from mtljobs.ledger.files import remove_tree, sync_folder
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, check_file, read_record
from mtljobs.store.growth import grow
from mtljobs.store.inputs import commit_inputs
from mtljobs.store.schema import Node, build_schema
from mtljobs.store.zarr_format import is_chunk

_POLL_S = 0.1


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Attributes:
        merged: Shards that it moved into the store.
        kept: Shards whose record was there already; leftovers of a killed merge or a duplicate.
        quarantined: Shards whose bytes are not those of their record -> what is wrong. They
            count as not done.
    """

    merged: tuple[str, ...]
    kept: tuple[str, ...]
    quarantined: Mapping[str, str]


def merge(
    run: RunFolder,
    workspace: Workspace,
    *,
    read_layouts: Callable[[], Mapping[str, ExperimentLayout]],
    wait_s: float,
) -> MergeReport:
    """Move every commit of a run into its store.

    Args:
        run: Whose commits.
        workspace: Where superpixels lie, which the store copies.
        read_layouts: The layouts of the run's newest plan; called once no other merge is running.
        wait_s: How long to wait for another merge.

    Raises:
        InputMissing: Another merge is still running after `wait_s`, or took over from this one.
        StaleSlotError: The plan or a commit contradicts what the store holds.
    """
    with sole_writer(run, wait_s=wait_s) as claim:
        aside = claim.folder / str(claim.number)
        try:
            _clear(claim.folder)
            create_folder(aside)
            layouts = read_layouts()
            schema = build_schema(layouts)
            grow(run.store, schema, aside=aside)
            wrong = _commit_inputs(run, workspace, layouts, schema=schema, aside=aside)
            report = _merge_commits(run, schema, claim=claim)
        finally:
            remove_tree(aside)
    return MergeReport(report.merged, report.kept, {**wrong, **report.quarantined})


@contextmanager
def sole_writer(run: RunFolder, *, wait_s: float) -> Iterator[claims.Claim]:
    """While inside, nobody else changes the store or the ledger.

    Args:
        wait_s: How long to wait for somebody else to end.

    Yields:
        The claim, to be renewed each minute.

    Raises:
        InputMissing: Another merge is still running after `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while (claim := claims.acquire(run.merging)) is None:
        if time.monotonic() > deadline:
            raise InputMissing(
                f"Another process is merging {run.name} ({claims.find_holder(run.merging)}). Merge "
                "again when it is done; one that was killed counts as such after five minutes."
            )
        time.sleep(_POLL_S)
    try:
        yield claim
    finally:
        claim.release()


def renew(claim: claims.Claim) -> None:
    """Say that the sole writer is alive.

    Raises:
        InputMissing: It was silent for so long that another one has taken over.
    """
    if not claim.renew():
        raise InputMissing("This merge was silent for so long that another took over from it.")


def _clear(merging: Path) -> None:
    """Remove the unfinished files of dead merges; their claims are files and stay."""
    for folder in merging.iterdir():
        remove_tree(folder)


def _commit_inputs(
    run: RunFolder,
    workspace: Workspace,
    layouts: Mapping[str, ExperimentLayout],
    *,
    schema: Mapping[str, Node],
    aside: Path,
) -> dict[str, str]:
    """Commit the inputs of all experiments; what is wrong with those that were withdrawn."""
    wrong = {}
    for experiment, layout in layouts.items():
        source = workspace.inputs / layout.inputs
        try:
            commit_inputs(
                run, source, experiment=experiment, layout=layout, schema=schema, aside=aside
            )
        except CorruptionError as error:
            withdraw(source, run.quarantine)
            wrong[f"segment-{layout.inputs[:12]}"] = str(error)
    return wrong


def _merge_commits(
    run: RunFolder, schema: Mapping[str, Node], *, claim: claims.Claim
) -> MergeReport:
    create_folder(run.ledger)
    merged, kept, wrong = [], [], {}
    for folder in sorted(run.committed.iterdir()) if run.committed.is_dir() else []:
        renew(claim)
        entry = run.ledger / f"{folder.name}.json"
        if entry.exists():
            remove_tree(folder)
            kept.append(folder.name)
            continue
        try:
            _merge_shard(run, schema, folder=folder, entry=entry)
        except CorruptionError as error:
            wrong[folder.name] = f"{error}; now {withdraw(folder, run.quarantine)}"
        else:
            merged.append(folder.name)
    return MergeReport(tuple(merged), tuple(kept), wrong)


def _merge_shard(run: RunFolder, schema: Mapping[str, Node], *, folder: Path, entry: Path) -> None:
    record = _read_commit(folder)
    for name, (sha256, size) in record.files.items():
        _check_name(name, schema)
        # A merge that was killed here has moved some of the files already.
        place = folder / name if (folder / name).exists() else run.store / name
        check_file(place, sha256=sha256, size=size)
    _refuse_foreign(run, folder, record)
    # Readers trust what `status` says, so it says so last.
    statuses = {name for name in record.files if PurePosixPath(name).parent.name == "status"}
    _move(record.files.keys() - statuses, folder, run.store)
    _move(statuses, folder, run.store)
    (folder / RECORD).rename(entry)
    sync_folder(run.ledger)
    remove_tree(folder)


def _read_commit(folder: Path) -> Record:
    try:
        return read_record(folder / RECORD)
    except FileNotFoundError:
        raise CorruptionError(f"{folder} has no {RECORD}, so nothing says what it holds") from None


def _check_name(name: str, schema: Mapping[str, Node]) -> None:
    path = PurePosixPath(name)
    node = schema.get(str(path.parent.parent))
    array = node.arrays.get(path.parent.name) if node else None
    if array is None or not is_chunk(array, path.name):
        raise CorruptionError(f"{name} is no chunk of a store with the layouts of the newest plan")


def _refuse_foreign(run: RunFolder, folder: Path, record: Record) -> None:
    """Return where no other shard owns a chunk that this one would replace.

    A chunk without an owner is what a withdrawn commit left in the store.
    """
    taken = {name for name in record.files if (folder / name).exists()}
    taken = {name for name in taken if (run.store / name).exists()}
    if not taken:
        return
    committed = (other for other in run.committed.glob(f"*/{RECORD}") if other.parent != folder)
    for place in [*sorted(run.ledger.glob("*.json")), *sorted(committed)]:
        owner = read_record(place)
        for name in sorted(taken & owner.files.keys()):
            raise StaleSlotError(
                f"{record.shard} would replace the chunk {name}, which belongs to {owner.shard}. "
                "Results of other settings are never replaced: submit the new plan with --run NEW, "
                f"and remove {folder}."
            )


def _move(names: Iterable[str], folder: Path, store: Path) -> None:
    for name in sorted(names):
        if (folder / name).exists():
            (folder / name).replace(store / name)
    for array in {(store / name).parent for name in names}:
        sync_folder(array)
