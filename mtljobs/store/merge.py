"""The merge: the only writer of a store, repeatable, and safe to kill at any instruction.

Every step is a rename or a file written aside, in an order in which the work that is left can be
read off what is there:

    1. every committed shard is checked: all of its files
    2. the store grows to the newest plan and takes their chunks in, as its backend does
    3. their records move to the ledger, what is left of their folders is removed

A chunk is moved or copied, never encoded anew, and a shard with a record in the ledger is only
cleaned up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtljobs.contracts import ExperimentLayout, Record
from mtljobs.errors import CorruptionError, StaleSlotError
from mtljobs.ledger.commit import withdraw
from mtljobs.ledger.files import remove_tree, sync_folder
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.store.backend import Backend, Commit, Schema, find_chunk
from mtljobs.store.inputs import commit_inputs, inputs_name
from mtljobs.store.schema import build_schema
from mtljobs.store.sources import FolderSource, Source, check_file
from mtljobs.store.staging import Staging
from mtljobs.store.writer import Writer, sole_writer


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
    backend: Backend,
    *,
    read_layouts: Callable[[], Mapping[str, ExperimentLayout]],
    wait_s: float,
) -> MergeReport:
    """Move every commit of a run into its store.

    Args:
        run: Whose commits.
        workspace: Where superpixels lie, which the store copies.
        backend: Of the run's plans.
        read_layouts: The layouts of the run's newest plan; called once no other merge is running.
        wait_s: How long to wait for another merge.

    Raises:
        InputMissing: Another merge is still running after `wait_s`, or took over from this one.
        StaleSlotError: The plan or a commit contradicts what the store holds.
        CorruptionError: The store's own files are damaged.
    """
    with sole_writer(run, wait_s=wait_s) as writer:
        # Before the plan is read: that of a commit which comes later may be a newer one.
        there = set(run.committed.iterdir()) if run.committed.is_dir() else set()
        layouts = read_layouts()
        schema = build_schema(layouts)
        store = backend.path(run)
        backend.check_growth(store, schema)

        def stage(experiment: str) -> Staging:
            return Staging(create_folder(writer.aside / experiment), schema, backend)

        wrong = _commit_inputs(run, workspace, layouts, stage=stage)
        own = {run.committed / inputs_name(name, layout) for name, layout in layouts.items()}
        folders = sorted(there | set(filter(Path.is_dir, own)))
        found = _look_through(run, backend, schema, folders=folders, writer=writer)
        backend.update(store, schema, found.commits, writer=writer)
        _close(run, found.commits)
    if found.refusal is not None:
        raise found.refusal
    merged = tuple(commit.folder.name for commit in found.commits)
    return MergeReport(merged, tuple(found.kept), wrong | found.wrong)


def _commit_inputs(
    run: RunFolder,
    workspace: Workspace,
    layouts: Mapping[str, ExperimentLayout],
    *,
    stage: Callable[[str], Staging],
) -> dict[str, str]:
    """Commit the inputs of all experiments; what is wrong with those that were withdrawn."""
    wrong = {}
    for experiment, layout in layouts.items():
        source = workspace.inputs / layout.inputs
        try:
            commit_inputs(
                run, source, experiment=experiment, layout=layout, staging=stage(experiment)
            )
        except CorruptionError as error:
            withdraw(source, run.quarantine)
            wrong[f"segment-{layout.inputs[:12]}"] = str(error)
    return wrong


@dataclass
class _Found:
    """What lay in `committed/`.

    Attributes:
        commits: To be taken in.
        kept: Shards that the ledger has.
        wrong: Shards that went to quarantine -> why.
        refusal: Why the commits after the last of `commits` stay where they are.
    """

    commits: list[Commit] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    refusal: StaleSlotError | None = None


def _look_through(
    run: RunFolder, backend: Backend, schema: Schema, *, folders: Sequence[Path], writer: Writer
) -> _Found:
    found = _Found()
    merged = backend.merged(backend.path(run))
    coming: dict[str, str] = {}
    for folder in folders:
        writer.renew()
        if (run.ledger / f"{folder.name}.json").exists():
            remove_tree(folder)
            found.kept.append(folder.name)
            continue
        try:
            record = _check_commit(folder, merged, backend=backend, schema=schema)
            _refuse_foreign(run, folder, record, merged=merged, coming=coming)
        except CorruptionError as error:
            found.wrong[folder.name] = f"{error}; now {withdraw(folder, run.quarantine)}"
        except StaleSlotError as error:
            found.refusal = error
            break
        else:
            found.commits.append(Commit(folder, record))
            coming |= dict.fromkeys(record.files, record.shard)
    return found


def _check_commit(folder: Path, merged: Source, *, backend: Backend, schema: Schema) -> Record:
    """The record of a commit, all of whose files are there and as it says."""
    try:
        record = read_record(folder / RECORD)
    except FileNotFoundError:
        raise CorruptionError(f"{folder} has no {RECORD}, so nothing says what it holds") from None
    own = FolderSource(folder)
    for name, (sha256, size) in record.files.items():
        if find_chunk(backend, schema, name) is None:
            raise CorruptionError(
                f"{name} is no chunk of a store with the layouts of the newest plan"
            )
        # A merge that was killed has moved some of the files already.
        source = merged if own.size(name) is None else own
        check_file(source, name, sha256=sha256, size=size)
    return record


def _refuse_foreign(
    run: RunFolder, folder: Path, record: Record, *, merged: Source, coming: Mapping[str, str]
) -> None:
    """Return where no other shard owns a chunk that this one would replace.

    A chunk without an owner is what a withdrawn commit left in the store.

    Args:
        coming: Chunks that this merge takes in before this shard's -> their shard.
    """
    for name in sorted(record.files.keys() & coming.keys()):
        raise _foreign(record.shard, folder, name, owner=coming[name])
    own = FolderSource(folder)
    taken = {name for name in record.files if own.size(name) is not None}
    taken = {name for name in taken if merged.size(name) is not None}
    if not taken:
        return
    committed = (other for other in run.committed.glob(f"*/{RECORD}") if other.parent != folder)
    for place in [*sorted(run.ledger.glob("*.json")), *sorted(committed)]:
        owner = read_record(place)
        for name in sorted(taken & owner.files.keys()):
            raise _foreign(record.shard, folder, name, owner=owner.shard)


def _foreign(shard: str, folder: Path, name: str, *, owner: str) -> StaleSlotError:
    return StaleSlotError(
        f"{shard} would replace the chunk {name}, which belongs to {owner}. Results of other "
        "settings are never replaced: submit the new plan with --run NEW, "
        f"and remove {folder}."
    )


def _close(run: RunFolder, commits: Sequence[Commit]) -> None:
    """Say in the ledger that commits are in the store, and remove what is left of them."""
    create_folder(run.ledger)
    for commit in commits:
        (commit.folder / RECORD).rename(run.ledger / f"{commit.folder.name}.json")
    sync_folder(run.ledger)
    for commit in commits:
        remove_tree(commit.folder)
