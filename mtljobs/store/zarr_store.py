"""The Zarr backend: what `[store] backend = "zarr"` stands for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mtljobs.ledger.files import sync_folder
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.store import zarr_files, zarr_format
from mtljobs.store.backend import Commit, Schema
from mtljobs.store.chunks import ChunkName
from mtljobs.store.findings import Finding
from mtljobs.store.forms import zarr_form
from mtljobs.store.sources import FolderSource, Source
from mtljobs.store.writer import Writer


class ZarrStore:
    """Zarr v3 in a folder: a chunk that is taken in is a file that moves there."""

    def path(self, run: RunFolder) -> Path:
        """The folder."""
        return run.store

    form = staticmethod(zarr_form)
    codecs = staticmethod(zarr_format.default_codecs)
    encode = staticmethod(zarr_format.encode)
    decode = staticmethod(zarr_format.decode)
    check_growth = staticmethod(zarr_files.check_growth)
    own_files = staticmethod(zarr_files.own_files)

    def merged(self, store: Path) -> Source:
        """All files of the folder."""
        return FolderSource(store)

    def update(
        self, store: Path, schema: Schema, commits: Sequence[Commit], *, writer: Writer
    ) -> None:
        """Write metadata and coordinates, the root's last; then move chunks, `status` last."""
        zarr_files.grow(store, schema, aside=writer.aside)
        for commit in commits:
            writer.renew()
            names = commit.record.files.keys()
            # Readers trust what `status` says, so it says so last.
            statuses = {name for name in names if ChunkName.of(name).says_done}
            _move(names - statuses, commit.folder, store)
            _move(statuses, commit.folder, store)

    def withdraw(
        self, store: Path, schema: Schema, names: Mapping[str, Path], *, writer: Writer
    ) -> None:
        """Move the files; of a link itself, whatever it leads to."""
        del schema
        for name, folder in names.items():
            if os.path.lexists(store / name):
                writer.renew()
                create_folder((folder / name).parent)
                (store / name).rename(folder / name)

    def check_own_files(
        self, store: Path, schemas: Iterable[Schema], *, reads: bool
    ) -> Iterator[Finding]:
        """Whether they hold what a plan gives; they are small, and read at any level."""
        del reads
        return zarr_files.check_own_files(store, schemas)


def _move(names: Iterable[str], folder: Path, store: Path) -> None:
    for name in sorted(names):
        if (folder / name).exists():
            (folder / name).replace(store / name)
    for array in {(store / name).parent for name in names}:
        sync_folder(array)
