"""The files of a Zarr store, or of some of its nodes, in one archive that zarr-python reads."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.store.zarr_format import seal

_STAMP = (1980, 1, 1, 0, 0, 0)
"""Of every file: the same run is the same archive."""


def write_archive(
    path: Path, store: Path, *, tasks: Mapping[str, str], left_out: Collection[str]
) -> None:
    """Pack a store's files as they are, each held against the record that lists it.

    Args:
        tasks: Experiments to pack -> the attribute `tasks` that is left of each.
        left_out: Paths in the store of nodes that are not packed.

    Raises:
        UserError: The store is one file.
        CorruptionError: A chunk is not the one that was merged.
    """
    if store.is_file():
        raise UserError(
            f"zarr-zip holds the files of a run that keeps its results in Zarr, and {store} is one "
            "file already: copy that, or export a part of it as netcdf."
        )
    root = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
    listed = root["consolidated_metadata"]["metadata"]
    documents = {
        name: document
        for name, document in listed.items()
        if name.partition("/")[0] in tasks and _is_in(name, left_out)
    }
    for name, kept in tasks.items():
        documents[name]["attributes"]["tasks"] = kept
    root["consolidated_metadata"]["metadata"] = documents
    changed = {f"{name}/zarr.json": to_json(documents[name]) for name in tasks}
    hashes = dict(_read_hashes(RunFolder(store.resolve().parent)))
    with zipfile.ZipFile(path, "w") as archive:  # chunks are compressed already
        archive.writestr(zipfile.ZipInfo("zarr.json", _STAMP), to_json(seal(root)))
        for name in tasks:
            for file in sorted((store / name).rglob("*")):
                inside = file.relative_to(store).as_posix()
                if file.is_file() and _is_in(inside, left_out):
                    content = changed.get(inside) or _read(file, hashes.get(inside))
                    archive.writestr(zipfile.ZipInfo(inside, _STAMP), content)


def _is_in(name: str, left_out: Collection[str]) -> bool:
    """Whether something in the store belongs to a node that is wanted."""
    path = PurePosixPath(name)
    return not any(str(place) in left_out for place in (path, *path.parents))


def _read_hashes(run: RunFolder) -> Iterator[tuple[str, str]]:
    """SHA-256 of every chunk that a record lists; none where a store has no run around it."""
    # A merge moves records from the first of these places to the second.
    for folder, pattern in ((run.committed, f"*/{RECORD}"), (run.ledger, "*.json")):
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):
                for name, (sha256, _) in read_record(path).files.items():
                    yield name, sha256


def _read(file: Path, sha256: str | None) -> bytes:
    """What a file holds; metadata and coordinates, which no record lists, follow from the plan."""
    content = file.read_bytes()
    if sha256 not in {None, hashlib.sha256(content).hexdigest()}:
        raise CorruptionError(f"{file} is not what was merged; its record has sha256 {sha256}")
    return content
