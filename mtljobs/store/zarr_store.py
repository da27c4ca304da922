"""The Zarr backend: what `[store] backend = "zarr"` stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.store import zarr_files
from mtljobs.store.backend import Part, Schema
from mtljobs.store.findings import Finding
from mtljobs.store.merge import MergeReport, merge
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging


class ZarrStore:
    """Zarr v3 in a folder, written by one merge from the chunk files of many shards."""

    def staging(self, folder: Path, layouts: Mapping[str, ExperimentLayout]) -> Staging:
        """What a shard writes its results with, into its private folder."""
        return Staging(folder, build_schema(layouts))

    def merge(
        self,
        run: RunFolder,
        workspace: Workspace,
        *,
        read_layouts: Callable[[], Mapping[str, ExperimentLayout]],
        wait_s: float,
    ) -> MergeReport:
        """Move every commit of the run into its store; as `mtljobs.store.merge.merge`."""
        return merge(run, workspace, read_layouts=read_layouts, wait_s=wait_s)

    def own_files(self, schema: Schema) -> Collection[str]:
        """Names of the metadata and coordinates; as `Backend` says."""
        return zarr_files.own_files(schema)

    def check_own_files(self, store: Path, schemas: Iterable[Schema]) -> Iterator[Finding]:
        """What is wrong with metadata and coordinates; as `Backend` says."""
        return zarr_files.check_own_files(store, schemas)

    def decode(self, schema: Schema, name: str, content: bytes) -> Part:
        """The values in a chunk; as `Backend` says."""
        return zarr_files.decode_result(schema, name, content)
