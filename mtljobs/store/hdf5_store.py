"""The HDF5 backend: what `[store] backend = "hdf5"` stands for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import sync_folder
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.store import growth, hdf5_file, hdf5_format
from mtljobs.store.backend import Commit, Schema
from mtljobs.store.findings import Finding
from mtljobs.store.forms import hdf5_form
from mtljobs.store.growth import Document
from mtljobs.store.hdf5_file import Hdf5Source, describe, documents
from mtljobs.store.seal import is_sealed
from mtljobs.store.sources import FolderSource, Source
from mtljobs.store.writer import Writer

ITSELF = "."
"""The file's name among those that are in it."""

_UNSEALED = "bytes that are not those of its last line"


class Hdf5Store:
    """One netCDF-4 file: never changed, but written anew beside the old one and renamed.

    HDF5 promises nothing about a file whose writer died, and what is killed here is a file of
    nobody. The price: a merge copies the whole store, and needs the room for both.
    """

    def path(self, run: RunFolder) -> Path:
        """The file."""
        return run.store_file

    form = staticmethod(hdf5_form)
    codecs = staticmethod(hdf5_format.codecs)
    encode = staticmethod(hdf5_format.encode)
    decode = staticmethod(hdf5_format.decode)

    def merged(self, store: Path) -> Source:
        """The chunks in the file."""
        return Hdf5Source(store)

    def check_growth(self, store: Path, schema: Schema) -> None:
        """As `Backend` says."""
        if store.exists():
            found, labels = describe(store)
            growth.check_growth(found, documents(schema), labels=labels, schema=schema)

    def update(
        self, store: Path, schema: Schema, commits: Sequence[Commit], *, writer: Writer
    ) -> None:
        """Write a new file with the chunks of the old one and of the commits, where it differs.

        Raises:
            CorruptionError: The old file is damaged: what cannot be read would be gone for good.
        """
        if store.exists():
            if not commits and find_fault(store, schema) is None:
                return
            if not is_sealed(store):
                raise CorruptionError(
                    f"{store} is not as it was written. `mtljobs verify --requeue` makes room for "
                    "what is damaged in it and keeps the rest."
                )
        old = Hdf5Source(store)
        chunks = dict.fromkeys(old.names(), old) | {
            name: FolderSource(commit.folder) for commit in commits for name in commit.record.files
        }
        _replace(store, schema, chunks, writer=writer)

    def withdraw(
        self, store: Path, schema: Schema, names: Mapping[str, Path], *, writer: Writer
    ) -> None:
        """Copy chunks out, and write the file anew from what else can be read of it."""
        old, there = _list_chunks(store)
        for name, folder in names.items():
            if name in there:
                create_folder((folder / name).parent)
                with suppress(OSError):
                    (folder / name).write_bytes(old.read(name))
        if ITSELF in names:
            create_folder(names[ITSELF].parent)
            if store.is_file():
                _copy(store, names[ITSELF])
            else:
                store.rename(names[ITSELF])
        if names and store.exists():
            chunks = dict.fromkeys(there - names.keys(), old)
            _replace(store, schema, chunks, writer=writer)

    def own_files(self, schema: Schema) -> Collection[str]:
        """None: metadata and coordinates are no chunks."""
        del schema
        return ()

    def check_own_files(
        self, store: Path, schemas: Iterable[Schema], *, reads: bool
    ) -> Iterator[Finding]:
        """Whether the file is as it was written, and says what a plan gives."""
        if not os.path.lexists(store):
            detail = "expected a file with the results of the ledger's shards, found none"
            yield Finding("missing file", store, None, detail)
            return
        fault = _find_damage(store, list(schemas), reads=reads)
        if fault is not None:
            detail = f"expected what was written, found {fault}: --requeue writes it anew"
            yield Finding("wrong metadata", store, None, detail)


def find_fault(store: Path, schema: Schema) -> str | None:
    """What a file says otherwise than a plan; None where it says the same."""
    try:
        found, labels = describe(store)
    except CorruptionError as error:
        return str(error)
    return _find_difference(found, labels, schema)


def _find_difference(
    found: Mapping[str, Document], labels: Mapping[str, list[Any]], schema: Schema
) -> str | None:
    expected = documents(schema)
    differ = [path for path in expected | dict(found) if found.get(path) != expected.get(path)]
    differ += [
        path
        for path, array in growth.coordinates(schema).items()
        if labels.get(path) != list(array.labels or ())
    ]
    return f"other metadata of {differ[0]} than the plan gives" if differ else None


def _find_damage(store: Path, schemas: Sequence[Schema], *, reads: bool) -> str | None:
    """What a file holds that was not written there, or that no plan gives in any release's words.

    Where nothing is to be read, it is enough that it says what a plan gives in this release's.
    """
    if reads and not is_sealed(store):
        return _UNSEALED
    try:
        found, labels = describe(store)
    except CorruptionError as error:
        return str(error)
    differences = [_find_difference(found, labels, schema) for schema in schemas]
    if None in differences:
        return None
    if not is_sealed(store):
        return _UNSEALED
    is_known = any(
        growth.is_grown(found, documents(schema), labels=labels, schema=schema)
        for schema in schemas
    )
    return None if is_known else differences[0]


def _list_chunks(store: Path) -> tuple[Source, set[str]]:
    """A store's chunks, as far as they can be read."""
    source = Hdf5Source(store)
    try:
        return source, set(source.names())
    except CorruptionError:
        return source, set()


def _replace(store: Path, schema: Schema, chunks: Mapping[str, Source], *, writer: Writer) -> None:
    unfinished = writer.aside / store.name
    hdf5_file.write(unfinished, schema, _read_all(chunks, writer))
    unfinished.replace(store)
    sync_folder(store.parent)


def _read_all(chunks: Mapping[str, Source], writer: Writer) -> Iterator[tuple[str, bytes]]:
    for name in sorted(chunks, key=hdf5_file.place):
        writer.renew()
        yield name, chunks[name].read(name)


def _copy(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except OSError:  # links are missing here
        shutil.copyfile(file, target)
