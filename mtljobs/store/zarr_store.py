"""The Zarr backend: what `[store] backend = "zarr"` stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtljobs.ledger.files import sync_folder
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.store import zarr_files, zarr_format
from mtljobs.store.backend import Commit, Schema
from mtljobs.store.chunks import ChunkName
from mtljobs.store.findings import Finding
from mtljobs.store.forms import zarr_form
from mtljobs.store.schema import Array
from mtljobs.store.sources import FolderSource, Source


class ZarrStore:
    """Zarr v3 in a folder: a chunk that is taken in is a file that moves there."""

    def path(self, run: RunFolder) -> Path:
        """The folder."""
        return run.store

    def form(self, array: Array) -> Array:
        """As the schema has it."""
        return zarr_form(array)

    def codecs(self, array: Array) -> list[dict[str, Any]]:
        """Zstandard behind a byte shuffle, and a checksum."""
        return zarr_format.default_codecs(array)

    def encode(
        self, array: Array, region: tuple[slice, ...], values: np.ndarray
    ) -> dict[str, bytes]:
        """A file per chunk; as `Backend` says."""
        return zarr_format.encode(array, region, values)

    def decode(self, array: Array, name: str, chunk: bytes) -> np.ndarray:
        """The values in a file; as `Backend` says."""
        return zarr_format.decode(array, name, chunk)

    def merged(self, store: Path) -> Source:
        """All files of the folder."""
        return FolderSource(store)

    def check_growth(self, store: Path, schema: Schema) -> None:
        """As `Backend` says."""
        zarr_files.check_growth(store, schema)

    def update(
        self,
        store: Path,
        schema: Schema,
        commits: Sequence[Commit],
        *,
        aside: Path,
        renew: Callable[[], None],
    ) -> None:
        """Write metadata and coordinates, the root's last; then move chunks, `status` last."""
        zarr_files.grow(store, schema, aside=aside)
        for commit in commits:
            renew()
            names = commit.record.files.keys()
            # Readers trust what `status` says, so it says so last.
            statuses = {name for name in names if ChunkName.of(name).says_done}
            _move(names - statuses, commit.folder, store)
            _move(statuses, commit.folder, store)

    def withdraw(
        self,
        store: Path,
        schema: Schema,
        names: Mapping[str, Path],
        *,
        aside: Path,
        renew: Callable[[], None],
    ) -> None:
        """Move the files."""
        del schema, aside
        for name, folder in names.items():
            if (store / name).exists():
                renew()
                create_folder((folder / name).parent)
                (store / name).rename(folder / name)

    def own_files(self, schema: Schema) -> Collection[str]:
        """Every `zarr.json`, and the chunks of coordinates."""
        return zarr_files.own_files(schema)

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
