"""A whole run that keeps its results in HDF5, against one that keeps them in Zarr."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import xarray as xr

from mtljobs.cli.show import store_size
from mtljobs.cluster.footprint import predict_footprint
from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.results import open_run
from mtljobs.results.export import export
from mtljobs.results.verification import verify


@pytest.fixture(scope="module")
def hdf5_run(
    smoke_run: RunFolder, smoke_grid: Path, compute, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The smoke grid with the other backend, on the same networks."""
    folder = tmp_path_factory.mktemp("hdf5")
    shutil.copytree(smoke_run.root.parent / "shared", folder / "runs/shared")
    grid = folder / "smoke.toml"
    grid.write_text(smoke_grid.read_text("utf-8") + '\n[store]\nbackend = "hdf5"\n', "utf-8")
    run, outcomes = compute(grid, folder / "runs")
    assert {name.partition("-")[0] for name, end in outcomes.items() if end == "done"} == {
        "evaluate",
        "explain",
        "reduce",
    }
    return run


def test_it_has_the_numbers_and_the_tables_of_a_run_in_zarr(
    hdf5_run: RunFolder, smoke_run: RunFolder
) -> None:
    assert hdf5_run.store_file.is_file()
    assert not hdf5_run.store.exists()
    expected = open_run(smoke_run.root)
    found = {live: open_run(hdf5_run.root, live=live) for live in (False, True)}
    for node in expected.subtree:
        for tree in found.values():
            xr.testing.assert_equal(tree[node.path].to_dataset(), node.to_dataset())
    tables = sorted(path.name for path in smoke_run.tables.glob("*.csv"))
    assert len(tables) > 3
    for name in tables:
        assert (hdf5_run.tables / name).read_bytes() == (smoke_run.tables / name).read_bytes()


def test_it_is_exported_as_tables_and_refused_as_an_archive_of_zarr(
    hdf5_run: RunFolder, smoke_run: RunFolder, tmp_path: Path
) -> None:
    tables = [
        export(run.root, tmp_path / f"{place}.csv", form="csv").read_bytes()
        for place, run in enumerate((hdf5_run, smoke_run))
    ]
    assert tables[0] == tables[1]
    with pytest.raises(UserError, match=r"store\.h5 is one file already: copy that"):
        export(hdf5_run.root, tmp_path / "a.zip", form="zarr-zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_netcdf_of_it_has_its_numbers(hdf5_run: RunFolder, tmp_path: Path) -> None:
    written = open_run(export(hdf5_run.root, tmp_path / "x.nc", form="netcdf"))
    for node in open_run(hdf5_run.root).subtree:
        xr.testing.assert_equal(written[node.path].to_dataset(), node.to_dataset())


def test_its_size_is_that_of_one_file_and_a_plan_counts_it_twice(
    hdf5_run: RunFolder, smoke_run: RunFolder
) -> None:
    assert "in one file; a cell" in store_size(hdf5_run)
    one, twice = (
        predict_footprint(plan, (), Workspace(run.root.parent)).store_bytes
        for run in (smoke_run, hdf5_run)
        if (plan := read_newest(run)) is not None
    )
    assert twice == 2 * one


def test_nothing_is_wrong_with_it(hdf5_run: RunFolder) -> None:
    plan = read_newest(hdf5_run)
    assert plan is not None
    workspace = Workspace(hdf5_run.root.parent)
    found = verify(hdf5_run, workspace, plan, level="decode", progress=lambda *_: None)
    assert found.damage == ()
    assert found.checked.chunks > 50
