"""What exports hold, form by form."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import math
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.ledger.paths import RunFolder
from mtljobs.results import aoc, open_run
from mtljobs.results.export import SUFFIXES, export

PLACE = {"sparsity": 0.5, "seed": 1, "image": "test-00001", "group": "0.20-0.40"}


def test_netcdf_is_the_run_in_the_published_format(small_run: RunFolder, target: Path) -> None:
    export(small_run.root, target, form="netcdf")
    run, written = open_run(small_run.root), open_run(target)
    assert [node.path for node in written.subtree] == [node.path for node in run.subtree]
    for node in run.subtree:
        found = written[node.path].to_dataset()
        for name, array in node.to_dataset().data_vars.items():
            np.testing.assert_array_equal(found[name].values, array.values)
            assert found[name].attrs["long_name"] == array.attrs["long_name"]
        assert found.attrs.keys() == node.attrs.keys()


def test_every_node_of_a_netcdf_opens_alone_with_labels_and_superpixels(
    small_run: RunFolder, target: Path
) -> None:
    export(small_run.root, target, form="netcdf")
    with xr.open_dataset(target, engine="h5netcdf", group="segnet-hrank/depth") as depth:
        assert depth["seed"].values.tolist() == [0, 1]
        assert set(depth.coords) - set(depth.dims) == {
            "image_id", "group_id", "metric_id", "n_segments",
        }  # fmt: skip
        expected = aoc(open_run(small_run.root)["segnet-hrank/depth"].to_dataset().sel(PLACE))
        assert float(aoc(depth.sel(PLACE))) == float(expected)


def test_half_precision_maps_keep_their_name_and_are_float32_in_netcdf(
    small_run: RunFolder, target: Path
) -> None:
    export(small_run.root, target, form="netcdf")
    stored = xr.open_datatree(small_run.store, engine="zarr")["segnet-hrank"]
    with xr.open_datatree(target, engine="h5netcdf") as tree:
        written = tree["segnet-hrank"]
        assert "cam" not in written["depth"]
        maps = written["depth"]["cam_half"]
        assert (maps.dtype, stored["depth"]["cam_half"].dtype) == (np.float32, np.float16)
        assert maps.attrs == stored["depth"]["cam_half"].attrs
        assert written.attrs["maps"] == "half"
        assert float(maps.max()) == pytest.approx(1, abs=0.05)


def test_netcdf_has_the_chunks_filters_and_checksums_of_the_hdf5_store(
    small_run: RunFolder, target: Path
) -> None:
    export(small_run.root, target, form="netcdf")
    with h5py.File(target) as file:
        curves, order = (file[f"segnet-hrank/depth/{name}"] for name in ("irof", "order"))
        assert curves.chunks == (1, 1, 3, 5, 33)
        assert (curves.compression, curves.shuffle, curves.fletcher32) == ("gzip", True, True)
        assert (order.fillvalue, math.isnan(curves.fillvalue)) == (65535, True)


def test_what_was_exported_as_netcdf_is_exported_as_the_same_bytes(
    small_run: RunFolder, target: Path
) -> None:
    first = export(small_run.root, target, form="netcdf")
    again = export(first, target.with_name("again"), form="netcdf")
    assert again.read_bytes() == first.read_bytes()


def test_a_status_of_a_later_release_has_the_name_of_its_flag_or_its_number(
    synthetic, tmp_path: Path
) -> None:
    layouts = {"segnet-hrank": synthetic.make_layouts()["segnet-hrank"]}
    arrays = synthetic.make_arrays(layouts)
    arrays["segnet-hrank/depth"]["status"][0, 0, 0, :2] = 9, 10
    run = synthetic.write_run(RunFolder(tmp_path / "run"), layouts=layouts, arrays=arrays)
    store = run.store.rename(tmp_path / "later.zarr")
    root = json.loads((store / "zarr.json").read_text())
    flags = root["consolidated_metadata"]["metadata"]["segnet-hrank/depth/status"]["attributes"]
    flags["flag_values"].append(9)
    flags["flag_meanings"] += " image_too_dark"
    (store / "zarr.json").write_text(json.dumps(root))
    table = pd.read_csv(export(store, tmp_path / "x.csv", form="csv"))
    odd = table[table["status"].isin(["image_too_dark", "unknown_10"])]
    assert odd["group"].tolist() == ["0.00-0.20", "0.20-0.40"]
    assert odd["aoc"].isna().all()


def test_an_archive_opens_as_it_is_and_begins_with_the_roots_document(
    true_run: RunFolder, tmp_path: Path
) -> None:
    path = export(
        true_run.root, tmp_path / "a.zarr.zip", form="zarr-zip", experiments=["segnet-hrank"]
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "zarr.json"
    written = xr.open_datatree(ZipStore(path, mode="r"), engine="zarr")
    assert list(written.children) == ["segnet-hrank"]
    stored = xr.open_datatree(true_run.store, engine="zarr")
    xr.testing.assert_identical(written["segnet-hrank"].load(), stored["segnet-hrank"].load())


def test_the_same_run_is_the_same_archive(small_run: RunFolder, tmp_path: Path) -> None:
    paths = [export(small_run.root, tmp_path / name, form="zarr-zip") for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_table_has_a_row_per_item(true_run: RunFolder, tmp_path: Path) -> None:
    path = export(true_run.root, tmp_path / "items.csv", form="csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    run = open_run(true_run.root)
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
def test_its_sha256_stands_beside_a_file(small_run, tmp_path: Path, form: str) -> None:
    path = export(small_run.root, tmp_path / f"x{SUFFIXES[form]}", form=form)
    said = path.with_name(f"{path.name}.sha256").read_text()
    assert said == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


@pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None,
    reason="pyarrow is in no lock: an extra of the user",
)
def test_parquet_reads_back_as_the_table_of_items(true_run: RunFolder, tmp_path: Path) -> None:
    part = {"experiments": ["segnet-hrank"], "tasks": ["depth"], "sparsities": [0.75]}
    path = export(true_run.root, tmp_path / "x.parquet", form="parquet", **part)
    table = pd.read_parquet(path)
    items = open_run(true_run.root)["segnet-hrank/depth"].to_dataset().sel(sparsity=0.75)
    assert len(table) == items["status"].size
    np.testing.assert_array_equal(
        table["aoc"], aoc(items).transpose("seed", "image", "group").values.ravel()
    )
