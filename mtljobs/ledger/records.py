"""Records: the proof that a shard is done, and where to find it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mtljobs.contracts import Record, Shard
from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import hash_file, read_file, replace_file, to_json
from mtljobs.ledger.paths import RunFolder, Workspace, result_folder

RECORD = "record.json"

MENDING = (
    "`mtljobs verify RUN --requeue` moves it into the quarantine of RUN, a run that uses it, and "
    "`mtljobs resume RUN` computes it again."
)
"""What to do about results that are not what was committed."""


def make_record(folder: Path, *, shard: str, identity: str, versions: Mapping[str, str]) -> Record:
    """The record of what a folder holds now: every file but `record.json`, hashed."""
    paths = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    files = {
        name: (hash_file(path), path.stat().st_size)
        for name, path in sorted(paths.items())
        if name != RECORD
    }
    return Record(shard=shard, identity=identity, files=files, versions=dict(versions))


def write_record(folder: Path, record: Record) -> None:
    """Put a record beside the files that it is about."""
    values = {
        "shard": record.shard,
        "identity": record.identity,
        "files": {name: list(entry) for name, entry in record.files.items()},
        "versions": dict(record.versions),
    }
    checksum = hashlib.sha256(to_json(values)).hexdigest()
    replace_file(folder / RECORD, to_json(values | {"sha256": checksum}))


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        CorruptionError: It does not hold a record as it was written; says what to do.
        OSError: There is no such file, or it cannot be read.
    """
    try:
        content = read_file(path)
        values = json.loads(content)
        _check_checksum(content, values["sha256"])
        record = Record(
            shard=str(values["shard"]),
            identity=str(values["identity"]),
            files={
                str(name): (str(sha), int(size)) for name, (sha, size) in values["files"].items()
            },
            versions={str(name): str(version) for name, version in values["versions"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptionError(
            f"{path} is no record of a shard as it was written ({error!r}). {MENDING}"
        ) from error
    for name in record.files:
        _check_inside(path, name)
    return record


def _check_checksum(content: bytes, said: str) -> None:
    """Hold what a record says of itself, SHA-256 of its text without that line, against the rest.

    The text as it stands, and not its values encoded anew: of ten thousand records this is quick,
    and no byte of them may change.
    """
    line = f' "sha256": "{said}",\n'.encode()
    found = hashlib.sha256(content.replace(line, b"", 1)).hexdigest()
    if said != found:
        raise ValueError(f"it says sha256 {said}, and has {found}")


def require_intact(folder: Path, name: str) -> Path:
    """A file of a finished shard, checked to hold the bytes that its record lists.

    Raises:
        CorruptionError: It does not; says how to have it computed again.
    """
    path = folder / name
    try:
        expected, _ = read_record(folder / RECORD).files[name]
        actual = hash_file(path)
    except (FileNotFoundError, KeyError):
        expected, actual = "a file with a record", "none"
    if actual != expected:
        raise CorruptionError(
            f"{path} is not what was committed (sha256 {expected[:12]}, found {actual[:12]}). "
            f"{MENDING}"
        )
    return path


def _check_inside(path: Path, name: str) -> None:
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise CorruptionError(
            f"{path} lists the file {name!r}, which is not inside the shard's folder. A record is "
            f"never edited by hand. {MENDING}"
        )


def find_record(workspace: Workspace, run: RunFolder, shard: Shard) -> Record | None:
    """The proof that a shard is done, wherever it stands now; None while there is none.

    Raises:
        CorruptionError: A record is broken, or stands in the place of another.
    """
    # In this order: the merge moves a record from the first place to the second.
    places = [result_folder(workspace, run, shard) / RECORD]
    if not shard.shared:
        places.append(run.ledger / f"{shard.name}.json")
    for place in places:
        try:
            record = read_record(place)
        except FileNotFoundError:
            continue
        if record.identity != shard.identity:
            raise CorruptionError(
                f"{place} is the record of identity {record.identity}, and the plan expects "
                f"{shard.identity} there. {MENDING}"
            )
        return record
    return None


def find_done(workspace: Workspace, run: RunFolder, shards: Iterable[Shard]) -> set[str]:
    """Names of the shards whose record stands somewhere now, for ten thousand at once.

    What a record says is read by those who use its results; here it counts that it is there.
    """
    folders: dict[tuple[bool, str], Path] = {}
    wanted: dict[Path, dict[str, str]] = {}
    for shard in shards:
        kind = shard.shared, shard.stage
        if kind not in folders:
            folders[kind] = result_folder(workspace, run, shard).parent
        key = shard.identity if shard.shared else shard.name
        wanted.setdefault(folders[kind], {})[key] = shard.name
    done = {
        names[key]
        for folder, names in wanted.items()
        for key in names.keys() & set(_list(folder))
        if os.access(f"{folder}/{key}/{RECORD}", os.F_OK)
    }
    # Listed last, as the merge moves records to here.
    merged = {name.removesuffix(".json") for name in _list(run.ledger)}
    return done | (merged & wanted.get(run.committed, {}).keys())


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (ten times as fast as paths)
    except FileNotFoundError:
        return []
