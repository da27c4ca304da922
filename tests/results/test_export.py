from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.util
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import aoc, open_run
from mtljobs.results import export as exporting
from mtljobs.results.export import SUFFIXES, export

PLACE = {"sparsity": 0.5, "seed": 1, "image": "test-00001", "group": "0.20-0.40"}


@pytest.fixture(scope="module")
def stored_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run, with records; tests only read it."""
    return synthetic.write_true_run(RunFolder(tmp_path_factory.mktemp("workspace") / "study"))


def test_netcdf_holds_every_array_of_the_run(stored_run: RunFolder, tmp_path: Path) -> None:
    path = export(stored_run.root, tmp_path / "study.nc", form="netcdf")
    run = open_run(stored_run.root)
    with xr.open_datatree(path, engine="h5netcdf") as written:
        assert [node.path for node in written.subtree] == [node.path for node in run.subtree]
        for node in run.leaves:
            for name, array in node.data_vars.items():
                np.testing.assert_array_equal(written[node.path][name].values, array.values)
        depth = written["segnet-netslim/depth"].to_dataset()
        assert float(aoc(depth.sel(PLACE))) == float(
            aoc(run["segnet-netslim/depth"].to_dataset().sel(PLACE))
        )


def test_half_precision_maps_are_float32_in_netcdf(synthetic, tmp_path: Path) -> None:
    layout = dataclasses.replace(synthetic.make_layouts()["segnet-hrank"], maps="half")
    run = synthetic.write_run(RunFolder(tmp_path / "half"), layouts={"segnet-hrank": layout})
    path = export(run.root, tmp_path / "half.nc", form="netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as written:
        cam = written["segnet-hrank/depth"]["cam"]
        assert cam.dtype == np.float32
        assert float(cam.max()) == pytest.approx(synthetic.PEAK, rel=0.05)


def test_an_archive_opens_as_it_is_and_begins_with_the_roots_document(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    path = export(
        stored_run.root, tmp_path / "a.zarr.zip", form="zarr-zip", experiments=["segnet-hrank"]
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "zarr.json"
    written = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr")
    assert list(written.children) == ["segnet-hrank"]
    stored = xr.open_datatree(stored_run.store, engine="zarr")
    xr.testing.assert_identical(written["segnet-hrank"].load(), stored["segnet-hrank"].load())


def test_the_same_run_is_the_same_archive(stored_run: RunFolder, tmp_path: Path) -> None:
    paths = [export(stored_run.root, tmp_path / name, form="zarr-zip") for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_table_has_a_row_per_item(stored_run: RunFolder, tmp_path: Path) -> None:
    path = export(stored_run.root, tmp_path / "items.csv", form="csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    run = open_run(stored_run.root)
    items = sum(node["status"].size for node in run.leaves if "status" in node.data_vars)
    assert len(rows) == items
    wanted = {"experiment": "segnet-netslim", "task": "depth"} | {
        name: str(value) for name, value in PLACE.items()
    }
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    area = float(aoc(run["segnet-netslim/depth"].to_dataset().sel(PLACE)))
    assert float(row["aoc"]) == pytest.approx(area, rel=1e-8)
    assert (row["status"], row["superpixels"]) == ("ok", "20")
    missing = [row for row in rows if row["status"] == "group_empty"]
    assert missing
    assert all(math.isnan(float(row["aoc"] or "nan")) for row in missing)


@pytest.mark.parametrize("form", ["netcdf", "zarr-zip", "csv"])
def test_its_sha256_stands_beside_a_file(stored_run, tmp_path: Path, form: str) -> None:
    path = export(
        stored_run.root, tmp_path / f"x{SUFFIXES[form]}", form=form, experiments=["segnet-hrank"]
    )
    said = path.with_name(f"{path.name}.sha256").read_text()
    assert said == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


def test_a_file_stays_what_it_was_where_the_new_one_fails(
    stored_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(part, path):
        path.write_text("half")
        raise CorruptionError("broken")

    path = tmp_path / "study.csv"
    path.write_text("old")
    monkeypatch.setitem(exporting.export.__globals__["_WRITERS"], "csv", fail)
    with pytest.raises(CorruptionError):
        export(stored_run.root, path, form="csv")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["study.csv"]


def test_an_archive_of_one_task_holds_its_node_and_what_belongs_to_the_network(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    path = export(stored_run.root, tmp_path / "depth.zip", form="zarr-zip", tasks=["depth"])
    written = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr").load()
    stored = xr.open_datatree(stored_run.store, engine="zarr")
    assert list(written.children) == list(stored.children)
    for name, experiment in written.children.items():
        assert set(experiment.children) == {"depth", "inputs"}
        assert experiment.attrs["tasks"] == "depth"
        assert set(experiment.data_vars) == set(stored[name].data_vars)
        xr.testing.assert_identical(experiment["depth"], stored[name]["depth"].load())
    listed = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr", consolidated=False)
    xr.testing.assert_identical(listed.load(), written)


def test_a_netcdf_of_a_part_holds_it_of_each_experiment_that_has_it(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    path = tmp_path / "x.nc"
    export(stored_run.root, path, form="netcdf", tasks=["depth"], sparsities=[0.9, 0.5])
    run = open_run(stored_run.root)
    with xr.open_datatree(path, engine="h5netcdf") as written:
        assert written["segnet-netslim"]["sparsity"].values.tolist() == [0.5, 0.9]
        assert written["segnet-hrank"]["sparsity"].values.tolist() == [0.5]
        assert set(written["segnet-hrank"].children) == {"depth", "inputs"}
        np.testing.assert_array_equal(
            written["segnet-netslim/depth"]["irof"].values,
            run["segnet-netslim/depth"]["irof"].isel(sparsity=[1, 2]).values,
        )


def test_an_experiment_without_the_sparsity_is_left_out(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    path = export(stored_run.root, tmp_path / "x.csv", form="csv", sparsities=[0.9])
    table = pd.read_csv(path)
    assert set(table["experiment"]) == {"segnet-netslim"}
    assert set(table["sparsity"]) == {0.9}


def test_a_table_of_a_part_has_the_same_rows_as_that_part_of_the_whole(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    export(stored_run.root, whole, form="csv")
    export(stored_run.root, part, form="csv", tasks=["depth", "normals"], sparsities=[0.5])
    with whole.open(newline="") as first, part.open(newline="") as second:
        rows = [row for row in csv.DictReader(first) if row["task"] != "segmentation"]
        wanted = [row for row in rows if row["sparsity"] == "0.5"]
        assert wanted
        assert list(csv.DictReader(second)) == wanted


@pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None,
    reason="pyarrow is in no lock: an extra of the user",
)
def test_parquet_reads_back_as_the_table_of_items(stored_run: RunFolder, tmp_path: Path) -> None:
    part = {"experiments": ["segnet-hrank"], "tasks": ["depth"], "sparsities": [0.75]}
    path = export(stored_run.root, tmp_path / "x.parquet", form="parquet", **part)
    table = pd.read_parquet(path)
    items = open_run(stored_run.root)["segnet-hrank/depth"].to_dataset().sel(sparsity=0.75)
    assert len(table) == items["status"].size
    np.testing.assert_array_equal(
        table["aoc"], aoc(items).transpose("seed", "image", "group").values.ravel()
    )


def test_a_sparsity_of_an_archive_is_refused_with_what_to_do(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="export as netcdf, or leave --sparsity out"):
        export(stored_run.root, tmp_path / "x.zip", form="zarr-zip", sparsities=[0.5])
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
    stored_run: RunFolder, tmp_path: Path, part: dict[str, Any], answer: str
) -> None:
    with pytest.raises(UserError, match=answer):
        export(stored_run.root, tmp_path / "x.csv", form="csv", **part)
    assert not list(tmp_path.iterdir())


def test_an_experiment_that_is_not_there_is_answered_with_those_that_are(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="did you mean 'segnet-hrank'"):
        export(stored_run.root, tmp_path / "x.csv", form="csv", experiments=["segnet-hrnk"])
    assert not list(tmp_path.iterdir())
