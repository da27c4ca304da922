from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.store.backend import Backend
from mtljobs.store.live import LiveStore

Layouts = dict[str, Any]
Open = Callable[[], xr.DataTree]

pytestmark = pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)


@pytest.fixture
def open_live(run: RunFolder, workspace: Workspace, layouts: Layouts, backend: Backend) -> Open:
    def open_now() -> xr.DataTree:
        store = LiveStore(run, workspace, layouts, backend)
        with warnings.catch_warnings():  # zarr 3.1 says that it alone knows filters of HDF5
            warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
            return xr.open_datatree(store, engine="zarr", chunks=None)

    return open_now


def test_a_live_view_before_the_first_merge_is_what_the_merge_makes(
    *, run: RunFolder, layouts: Layouts, explain: Callable[..., str], open_live: Open,
    open_store: Callable[[RunFolder], xr.DataTree], request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    request.getfixturevalue("superpixels")
    explain(run, layouts, cell=(0, 1), block=2)
    explain(run, layouts, cell=(1, 0))
    seen = open_live().load().copy(deep=True)
    request.getfixturevalue("merge")(run, layouts)
    xr.testing.assert_equal(seen, open_store(run).load())


def test_a_view_opened_before_a_merge_reads_on_after_it(
    *, run: RunFolder, layouts: Layouts, explain: Callable[..., str],
    merge: Callable[..., object], open_live: Open,
) -> None:  # fmt: skip
    explain(run, layouts)
    live = open_live()
    merge(run, layouts)
    assert not run.committed.exists() or not any(run.committed.iterdir())
    assert int((live["segnet/depth"]["status"] == 1).sum()) == 3 * 2


def test_what_is_merged_and_what_is_not_stand_side_by_side(
    *, run: RunFolder, layouts: Layouts, explain: Callable[..., str],
    merge: Callable[..., object], open_live: Open,
) -> None:  # fmt: skip
    explain(run, layouts)
    merge(run, layouts)
    explain(run, layouts, block=1)
    status = open_live()["segnet/depth"]["status"][0, 0, :, 0]
    assert status.values.tolist() == [1, 1, 1, 1, 1, 1, 0]


def test_a_commit_that_is_cut_short_is_not_seen(
    run: RunFolder, layouts: Layouts, explain: Callable[..., str], open_live: Open
) -> None:
    name = explain(run, layouts)
    (run.committed / name / "record.json").unlink()
    assert not open_live()["segnet/depth"]["status"].any()


def test_a_view_writes_nothing(
    run: RunFolder, workspace: Workspace, layouts: Layouts, backend: Backend
) -> None:
    store = LiveStore(run, workspace, layouts, backend)
    with pytest.raises(ValueError, match=r"read.only"):
        xr.Dataset({"x": ("y", [1])}).to_zarr(store)
    assert not run.root.exists()
