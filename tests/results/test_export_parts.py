"""Exports of some experiments, tasks and sparsities of a run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import open_run
from mtljobs.results.export import export


def test_an_archive_of_one_task_holds_its_node_and_what_belongs_to_the_network(
    true_run: RunFolder, tmp_path: Path
) -> None:
    path = export(true_run.root, tmp_path / "depth.zip", form="zarr-zip", tasks=["depth"])
    written = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr").load()
    stored = xr.open_datatree(true_run.store, engine="zarr")
    assert list(written.children) == list(stored.children)
    for name, experiment in written.children.items():
        assert set(experiment.children) == {"depth", "inputs"}
        assert experiment.attrs["tasks"] == "depth"
        assert set(experiment.data_vars) == set(stored[name].data_vars)
        xr.testing.assert_identical(experiment["depth"], stored[name]["depth"].load())
    listed = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr", consolidated=False)
    xr.testing.assert_identical(listed.load(), written)


def test_a_netcdf_of_a_part_holds_it_of_each_experiment_that_has_it(
    true_run: RunFolder, tmp_path: Path
) -> None:
    path = tmp_path / "x.nc"
    export(true_run.root, path, form="netcdf", tasks=["depth"], sparsities=[0.9, 0.5])
    run = open_run(true_run.root)
    with xr.open_datatree(path, engine="h5netcdf") as written:
        assert written["segnet-netslim"]["sparsity"].values.tolist() == [0.5, 0.9]
        assert written["segnet-hrank"]["sparsity"].values.tolist() == [0.5]
        assert set(written["segnet-hrank"].children) == {"depth", "inputs"}
        np.testing.assert_array_equal(
            written["segnet-netslim/depth"]["irof"].values,
            run["segnet-netslim/depth"]["irof"].isel(sparsity=[1, 2]).values,
        )


def test_an_experiment_without_the_sparsity_is_left_out(
    true_run: RunFolder, tmp_path: Path
) -> None:
    path = export(true_run.root, tmp_path / "x.csv", form="csv", sparsities=[0.9])
    table = pd.read_csv(path)
    assert set(table["experiment"]) == {"segnet-netslim"}
    assert set(table["sparsity"]) == {0.9}


def test_a_table_of_a_part_has_the_same_rows_as_that_part_of_the_whole(
    true_run: RunFolder, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    export(true_run.root, whole, form="csv")
    export(true_run.root, part, form="csv", tasks=["depth", "normals"], sparsities=[0.5])
    with whole.open(newline="") as first, part.open(newline="") as second:
        rows = [row for row in csv.DictReader(first) if row["task"] != "segmentation"]
        wanted = [row for row in rows if row["sparsity"] == "0.5"]
        assert wanted
        assert list(csv.DictReader(second)) == wanted


def test_a_sparsity_of_an_archive_is_refused_with_what_to_do(
    true_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="export as netcdf, or leave --sparsity out"):
        export(true_run.root, tmp_path / "x.zip", form="zarr-zip", sparsities=[0.5])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ({"tasks": ["dept"]}, r"no task 'dept' .*did you mean 'depth'"),
        ({"sparsities": [0.33]}, r"no sparsity 0\.33 .*fractions: 0, 0\.5, 0\.75, 0\.9"),
        ({"experiments": ["segnet-hrank"], "sparsities": [0.9]}, r"fractions: 0, 0\.5, 0\.75\."),
    ],
)
def test_a_part_that_is_not_there_is_answered_with_those_that_are(
    true_run: RunFolder, tmp_path: Path, part: dict[str, Any], answer: str
) -> None:
    with pytest.raises(UserError, match=answer):
        export(true_run.root, tmp_path / "x.csv", form="csv", **part)
    assert not list(tmp_path.iterdir())


def test_an_experiment_that_is_not_there_is_answered_with_those_that_are(
    true_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="did you mean 'segnet-hrank'"):
        export(true_run.root, tmp_path / "x.csv", form="csv", experiments=["segnet-hrnk"])
    assert not list(tmp_path.iterdir())
