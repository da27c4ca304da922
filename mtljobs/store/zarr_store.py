"""The Zarr backend: what `[store] backend = "zarr"` stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder, Workspace
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
