"""What makes one kind of store another: how its chunks are encoded, and what holds them.

Staging, commits, records, the ledger, the merge's order, every check and the live view are the same
for all; a backend is chosen by a run's first plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings.base import load
from mtljobs.settings.store import Store
from mtljobs.store.chunks import ChunkName, chunk_index, chunk_region, find_array, is_chunk
from mtljobs.store.findings import Finding
from mtljobs.store.schema import Array, Node
from mtljobs.store.sources import Source
from mtljobs.store.writer import Writer

Schema = Mapping[str, Node]


@dataclass(frozen=True)
class Part:
    """What one chunk file holds of an array.

    Attributes:
        node: As in `"<experiment>/<task>"`.
        array: Name of the array.
        where: The part along each axis of the array.
        values: Along all axes.
    """

    node: str
    array: str
    where: Mapping[str, slice]
    values: np.ndarray


@dataclass(frozen=True)
class Commit:
    """Results that are whole and checked, and on their way into the store.

    Attributes:
        folder: Where those of its chunk files are that were not moved yet.
    """

    folder: Path
    record: Record


class Backend(Protocol):
    """A store is made of results, which records list, and of its own, which follows from the plan.

    Only one process at a time calls what changes a store. A kill at any instruction leaves a store
    that readers see as it was or as it is to be, but for chunks whose `status` is not there yet.
    """

    def path(self, run: RunFolder) -> Path:
        """The store of a run."""
        ...

    def form(self, array: Array) -> Array:
        """An array in the types and with the chunks that it has here."""
        ...

    def codecs(self, array: Array) -> list[dict[str, Any]]:
        """How a chunk of an array is encoded, in the words of a Zarr document."""
        ...

    def encode(
        self, array: Array, region: tuple[slice, ...], values: np.ndarray
    ) -> dict[str, bytes]:
        """Chunk files, by name, that hold values at a region of the array.

        Args:
            array: As the schema has it.
            region: Whole chunks, up to the end of the array.
        """
        ...

    def decode(self, array: Array, name: str, chunk: bytes) -> np.ndarray:
        """The values in a chunk file, up to the end of the array.

        Args:
            array: In its form here.

        Raises:
            CorruptionError: Its checksum or its encoding is broken.
        """
        ...

    def merged(self, store: Path) -> Source:
        """The chunk files in a store, which need not exist."""
        ...

    def check_growth(self, store: Path, schema: Schema) -> None:
        """Return where the store may grow to a plan; see `growth.check_growth`.

        Raises:
            StaleSlotError: It may not.
            CorruptionError: What the store says cannot be read.
        """
        ...

    def update(
        self, store: Path, schema: Schema, commits: Sequence[Commit], *, writer: Writer
    ) -> None:
        """Grow the store to a plan, and take the chunks of commits in.

        Args:
            writer: Of the store; to be renewed each minute.
        """
        ...

    def withdraw(
        self, store: Path, schema: Schema, names: Mapping[str, Path], *, writer: Writer
    ) -> None:
        """Move files out of the store, in this order.

        Args:
            names: Names, of own files or of chunks, that are there or not -> folder below which the
                file goes.
        """
        ...

    def own_files(self, schema: Schema) -> Collection[str]:
        """Names of the files in a store that follow from the plan."""
        ...

    def check_own_files(
        self, store: Path, schemas: Iterable[Schema], *, reads: bool
    ) -> Iterator[Finding]:
        """What is wrong with the store's own files.

        Args:
            schemas: Of the run's plans, the newest first; the store may not have grown to it yet.
            reads: Hash what would be large to hash.
        """
        ...


def load_backend(name: str) -> Backend:
    """The backend that a plan names."""
    backend: Backend = load(Store.implementations[name])()
    return backend


def find_chunk(backend: Backend, schema: Schema, name: str) -> Array | None:
    """The array, in its form there, of which a file of this name can be a chunk."""
    array = find_array(schema, name)
    if array is None or array.labels is not None:
        return None
    form = backend.form(array)
    return form if is_chunk(form, ChunkName.of(name).chunk) else None


def read_part(backend: Backend, schema: Schema, name: str, content: bytes) -> Part:
    """What a file of results holds.

    Args:
        name: Of the file, as a record lists it.

    Raises:
        CorruptionError: It cannot be decoded.
    """
    array = find_chunk(backend, schema, name)
    if array is None:
        raise CorruptionError(f"{name} is no chunk of an array that the plan has")
    node, _, chunk = ChunkName.of(name)
    where = dict(zip(array.axes, chunk_region(array, chunk_index(chunk)), strict=True))
    return Part(node, array.name, where, backend.decode(array, chunk, content))
