from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.store.live import LiveStore
from mtljobs.store.zarr_store import ZarrStore

Layouts = dict[str, Any]


def open_live(run: RunFolder, workspace: Workspace, layouts: Layouts) -> xr.DataTree:
    store = LiveStore(run, workspace, layouts, ZarrStore())
    return xr.open_datatree(store, engine="zarr", chunks=None)


def test_a_live_view_before_the_first_merge_is_what_the_merge_makes(
    run: RunFolder,
    workspace: Workspace,
    layouts: Layouts,
    explain: Callable[..., str],
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("superpixels")
    explain(run, layouts, cell=(0, 1), block=2)
    explain(run, layouts, cell=(1, 0))
    live = open_live(run, workspace, layouts)
    seen = live.load().copy(deep=True)
    request.getfixturevalue("merge")(run, layouts)
    xr.testing.assert_identical(seen, xr.open_datatree(run.store, engine="zarr").load())


def test_a_view_opened_before_a_merge_reads_on_after_it(
    run: RunFolder,
    workspace: Workspace,
    layouts: Layouts,
    explain: Callable[..., str],
    merge: Callable[..., object],
) -> None:
    explain(run, layouts)
    live = open_live(run, workspace, layouts)
    merge(run, layouts)
    assert not run.committed.exists() or not any(run.committed.iterdir())
    assert int((live["segnet/depth"]["status"] == 1).sum()) == 3 * 2


def test_what_is_merged_and_what_is_not_stand_side_by_side(
    run: RunFolder,
    workspace: Workspace,
    layouts: Layouts,
    explain: Callable[..., str],
    merge: Callable[..., object],
) -> None:
    explain(run, layouts)
    merge(run, layouts)
    explain(run, layouts, block=1)
    status = open_live(run, workspace, layouts)["segnet/depth"]["status"][0, 0, :, 0]
    assert status.values.tolist() == [1, 1, 1, 1, 1, 1, 0]


def test_a_commit_that_is_cut_short_is_not_seen(
    run: RunFolder, workspace: Workspace, layouts: Layouts, explain: Callable[..., str]
) -> None:
    name = explain(run, layouts)
    (run.committed / name / "record.json").unlink()
    assert not open_live(run, workspace, layouts)["segnet/depth"]["status"].any()


def test_a_view_writes_nothing(run: RunFolder, workspace: Workspace, layouts: Layouts) -> None:
    store = LiveStore(run, workspace, layouts, ZarrStore())
    with pytest.raises(ValueError, match=r"read.only"):
        xr.Dataset({"x": ("y", [1])}).to_zarr(store)
    assert not run.root.exists()
