"""The one way in which results become visible: a private folder, synced, then renamed once."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path

from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.files import remove_tree, sync_folder, sync_tree
from mtljobs.ledger.paths import RunFolder, Workspace, claim_folder, create_folder, make_folder
from mtljobs.ledger.records import MENDING, RECORD, write_record


def new_staging(parent: Path, name: str) -> Path:
    """A new, empty, private folder `<name>.<n>` with the first free number."""
    create_folder(parent)
    for number in itertools.count(1):
        staging = parent / f"{name}.{number}"
        try:
            make_folder(staging)
        except FileExistsError:
            continue
        return staging
    raise AssertionError("itertools.count ended")


def commit(staging: Path, target: Path, record: Record, *, merged: Path | None = None) -> bool:
    """Make a shard's results visible, all at once, unless somebody else's already are.

    Afterwards `staging` is gone in either case.

    Args:
        staging: What the shard wrote.
        target: Where results of this identity stand; on the same file system.
        record: Of what `staging` holds; written into it last.
        merged: Where the record stands once the results were merged; None where nobody merges.

    Returns:
        Whether these results are the ones that count; False: another attempt was first.

    Raises:
        CorruptionError: The target holds files without their record.
    """
    if merged is not None and merged.exists():
        remove_tree(staging)
        return False
    write_record(staging, record)
    sync_tree(staging)
    create_folder(target.parent)
    try:
        staging.rename(target)
    except OSError as error:
        _check_taken(target, error)
        remove_tree(staging)
        return False
    sync_folder(target.parent)
    return True


def _check_taken(target: Path, error: OSError) -> None:
    """Return where the rename failed because the shard is done; say what to do elsewhere."""
    if (target / RECORD).exists():
        return
    if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
        raise error
    raise CorruptionError(
        f"{target} is there without its {RECORD}, so it is not the work of mtljobs, whose commits "
        f"appear whole. {MENDING}"
    ) from error


def withdraw(folder: Path, quarantine: Path) -> Path:
    """Move committed results whose bytes are wrong out of the way; return where they are now.

    Their shard counts as not done from then on.
    """
    create_folder(quarantine)
    for number in itertools.count(1):
        target = quarantine / f"{folder.name}.{number}"
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                continue
            raise
        return target
    raise AssertionError("itertools.count ended")


def sweep_run(run: RunFolder) -> list[Path]:
    """Remove what dead attempts left: staging, and scratch of shards that are done."""
    return _remove(find_dead(run))


def sweep_shared(workspace: Workspace) -> list[Path]:
    """Remove what dead attempts left in `shared/`; an identity is alive while it is claimed."""
    return _remove(find_dead_shared(workspace))


def find_dead(run: RunFolder) -> list[Path]:
    """The folders that `sweep_run` would remove."""

    def is_live(shard: str) -> bool:
        return attempts.is_running(run.attempts, shard)

    def is_done(shard: str) -> bool:
        return (run.committed / shard / RECORD).exists() or (run.ledger / f"{shard}.json").exists()

    return _find_dead(run.staging, run.work, is_live=is_live, is_done=is_done)


def find_dead_shared(workspace: Workspace) -> list[Path]:
    """The folders that `sweep_shared` would remove."""

    def is_live(identity: str) -> bool:
        return claims.is_held(claim_folder(workspace, identity))

    def is_done(identity: str) -> bool:
        finished = (workspace.networks / identity, workspace.inputs / identity)
        return any((folder / RECORD).exists() for folder in finished)

    return _find_dead(workspace.staging, workspace.work, is_live=is_live, is_done=is_done)


def _find_dead(
    staging: Path, work: Path, *, is_live: Callable[[str], bool], is_done: Callable[[str], bool]
) -> list[Path]:
    # Listed before the owners are looked at: an owner begins before its folder does.
    unfinished = sorted(staging.iterdir()) if staging.is_dir() else []
    scratches = sorted(work.iterdir()) if work.is_dir() else []
    dead = [folder for folder in unfinished if not is_live(folder.name.rpartition(".")[0])]
    return dead + [
        folder for folder in scratches if is_done(folder.name) and not is_live(folder.name)
    ]


def _remove(folders: list[Path]) -> list[Path]:
    for folder in folders:
        remove_tree(folder)
    return folders
