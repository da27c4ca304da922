"""A run's results as far as they are committed, merged or not: for readers, who write nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.store.backend import Backend, Schema
from mtljobs.store.inputs import read_inputs
from mtljobs.store.schema import Node, build_schema
from mtljobs.store.sources import WHOLE, FolderSource, Source
from mtljobs.store.zarr_files import own_contents

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class LiveStore(Store):
    """What a run's store would hold if it were merged now, for zarr-python to read.

    Metadata and coordinates follow from the plan. A chunk is read from the commit that holds it or,
    as a merge may have moved it meanwhile, from the store. Commits that come later are not seen.

    Args:
        layouts: Of the run's newest plan.
        backend: Of the same.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(
        self,
        run: RunFolder,
        workspace: Workspace,
        layouts: Mapping[str, ExperimentLayout],
        backend: Backend,
    ) -> None:
        super().__init__(read_only=True)
        schema = build_schema(layouts)
        inputs = _read_inputs(workspace, layouts, schema, backend)
        formed = {path: _form(node, backend) for path, node in schema.items()}
        self._made = own_contents(formed, backend.codecs) | dict(inputs)
        self._merged = backend.merged(backend.path(run))
        self._commits = dict(_find_commits(run))

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a key, or a part of them; None where there are none."""
        part = _part(byte_range)
        if key in self._made:
            return prototype.buffer.from_bytes(self._made[key][part])
        found = await asyncio.to_thread(self._read, key, part)
        return None if found is None else prototype.buffer.from_bytes(found)

    def _read(self, key: str, part: slice) -> bytes | None:
        # A merge may move the file meanwhile, from the first of these to the second.
        for source in (self._commits.get(key), self._merged):
            if source is not None and source.size(key) is not None:
                with suppress(FileNotFoundError):
                    return source.read(key, part)
        return None

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Parts of several keys."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there are bytes of a key."""
        known = key in self._made or key in self._commits
        return known or self._merged.size(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuses."""
        raise ValueError(f"a live view is read only, received bytes for {key}")

    async def delete(self, key: str) -> None:
        """Refuses."""
        raise ValueError(f"a live view is read only, was asked to delete {key}")

    async def list(self) -> AsyncIterator[str]:
        """Paths of the metadata, which the root's repeats."""
        for key in self._made:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The same below a prefix."""
        for key in self._made:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names right below a prefix, of the same."""
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        names = (key[len(below) :] for key in self._made if key.startswith(below))
        for name in dict.fromkeys(name.split("/")[0] for name in names):
            yield name


def _part(byte_range: ByteRequest | None) -> slice:
    match byte_range:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix):
            return slice(-suffix, None)
    return WHOLE


def _form(node: Node, backend: Backend) -> Node:
    """A node whose results have the chunks of a backend."""
    return dataclasses.replace(
        node,
        arrays={
            name: array if array.labels is not None else backend.form(array)
            for name, array in node.arrays.items()
        },
    )


def _find_commits(run: RunFolder) -> Iterator[tuple[str, Source]]:
    """Every chunk that is committed and was not merged, with where it lies."""
    for path in run.committed.glob(f"*/{RECORD}"):
        try:
            record = read_record(path)
        except FileNotFoundError:  # merged since the folder was listed
            continue
        folder = FolderSource(path.parent)
        yield from ((name, folder) for name in record.files)


def _read_inputs(
    workspace: Workspace,
    layouts: Mapping[str, ExperimentLayout],
    schema: Schema,
    backend: Backend,
) -> Iterator[tuple[str, bytes]]:
    """Chunks of finished superpixels by key, which a merge copies into the store."""
    for experiment, layout in layouts.items():
        source = workspace.inputs / layout.inputs
        node = schema[f"{experiment}/inputs"]
        for name, values in read_inputs(source, layout) if (source / RECORD).is_file() else ():
            array = node.arrays[name]
            region = tuple(slice(0, length) for length in array.shape)
            for chunk, content in backend.encode(array, region, values).items():
                yield f"{node.path}/{name}/{chunk}", content
