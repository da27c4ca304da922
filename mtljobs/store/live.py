"""A run's results as far as they are committed, merged or not: for readers, who write nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zarr.abc.store import Store
from zarr.storage import LocalStore

from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import RECORD, read_record
from mtljobs.plan.frozen import Plan
from mtljobs.store.inputs import copy_inputs
from mtljobs.store.schema import Node, build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.zarr_format import documents, encode_labels

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class LiveStore(Store):
    """What a run's store would hold if it were merged now, for zarr-python to read.

    Metadata and coordinates follow from the plan. A chunk is read from the commit that holds it or,
    as a merge may have moved it meanwhile, from the store. Commits that come later are not seen.

    Args:
        plan: The run's newest.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, run: RunFolder, workspace: Workspace, plan: Plan) -> None:
        super().__init__(read_only=True)
        schema = build_schema(plan.layouts)
        self._described = _describe(schema)
        self._merged = LocalStore(run.store, read_only=True)
        self._commits = dict(_find_commits(run))
        self._copies = TemporaryDirectory(prefix="mtljobs-live-")  # goes with this object
        self._commits |= _copy_inputs(workspace, plan, schema, folder=Path(self._copies.name))

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a key, or a part of them; None where there are none."""
        if key in self._described:
            return prototype.buffer.from_bytes(self._described[key])
        for store in (self._commits.get(key), self._merged):
            found = store and await store.get(key, prototype, byte_range)
            if found:
                return found
        return None

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Parts of several keys."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there are bytes of a key."""
        return key in self._described or key in self._commits or await self._merged.exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Refuses."""
        raise ValueError(f"a live view is read only, received bytes for {key}")

    async def delete(self, key: str) -> None:
        """Refuses."""
        raise ValueError(f"a live view is read only, was asked to delete {key}")

    async def list(self) -> AsyncIterator[str]:
        """Paths of the metadata, which the root's repeats."""
        for key in self._described:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The same below a prefix."""
        for key in self._described:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names right below a prefix, of the same."""
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        names = (key[len(below) :] for key in self._described if key.startswith(below))
        for name in dict.fromkeys(name.split("/")[0] for name in names):
            yield name


def _describe(schema: Mapping[str, Node]) -> dict[str, bytes]:
    """Metadata and coordinates by key."""
    described = {key: to_json(document) for key, document in documents(schema).items()}
    for node in schema.values():
        for array in node.arrays.values():
            if array.labels is not None:
                chunks = encode_labels(array)
                described |= {f"{node.path}/{array.name}/{name}": chunks[name] for name in chunks}
    return described


def _find_commits(run: RunFolder) -> Iterator[tuple[str, LocalStore]]:
    """Every chunk that is committed and was not merged, with where it lies."""
    for path in run.committed.glob(f"*/{RECORD}"):
        try:
            record = read_record(path)
        except FileNotFoundError:  # merged since the folder was listed
            continue
        folder = LocalStore(path.parent, read_only=True)
        yield from ((name, folder) for name in record.files)


def _copy_inputs(
    workspace: Workspace, plan: Plan, schema: Mapping[str, Node], *, folder: Path
) -> dict[str, LocalStore]:
    """Superpixels of experiments, which a merge copies into the store, copied into a folder."""
    copies = LocalStore(folder, read_only=True)
    for experiment, layout in plan.layouts.items():
        source = workspace.inputs / layout.inputs
        if (source / RECORD).is_file():
            node = f"{experiment}/inputs"
            copy_inputs(source, Staging(folder, schema), node=node, layout=layout)
    chunks = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): copies for path in chunks}
