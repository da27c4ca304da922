from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.util
import json
import math
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import aoc, netcdf, open_run
from mtljobs.results import export as exporting
from mtljobs.results.export import SUFFIXES, export
from mtljobs.store import hdf5_format

PLACE = {"sparsity": 0.5, "seed": 1, "image": "test-00001", "group": "0.20-0.40"}


@pytest.fixture(scope="module")
def stored_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run, with records; tests only read it."""
    return synthetic.write_true_run(RunFolder(tmp_path_factory.mktemp("workspace") / "study"))


@pytest.fixture(scope="module")
def small_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one experiment and one task, whose maps are kept as halves."""
    layout = synthetic.make_layouts()["segnet-hrank"]
    tasks = {"depth": layout.tasks["depth"]}
    layout = dataclasses.replace(layout, maps="half", tasks=tasks)
    folder = tmp_path_factory.mktemp("workspace") / "small"
    return synthetic.write_true_run(RunFolder(folder), layouts={"segnet-hrank": layout})


@pytest.fixture
def copied(small_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the small run, to be damaged."""
    shutil.copytree(small_run.root, tmp_path / "copied")
    return RunFolder(tmp_path / "copied")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to export to: nothing else is in its folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x"


CURVES = "segnet-hrank/depth/irof/c.1.0.0.0.0"
STATUS = "segnet-hrank/depth/status/c.1.0.0.0"
PEAKS = "segnet-hrank/depth/cam_max/c.1.0.0.0"


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


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


def test_a_netcdf_file_that_does_not_hold_the_run_is_no_export(
    small_run: RunFolder, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(array, region, values):
        return hdf5_format.encode(array, region, values + (array.name == "cam_max"))

    monkeypatch.setattr(netcdf, "hdf5_format", SimpleNamespace(encode=encode))
    with pytest.raises(
        CorruptionError, match="but has other numbers in segnet-hrank/depth/cam_max"
    ):
        export(small_run.root, target, form="netcdf")
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(
    ("form", "gone"),
    [("netcdf", CURVES), ("zarr-zip", CURVES), ("csv", CURVES), ("csv", STATUS), ("netcdf", PEAKS)],
)
def test_a_run_without_one_of_its_chunks_is_not_exported(copied, target, form, gone: str) -> None:
    (copied.store / gone).unlink()
    with pytest.raises(CorruptionError, match=rf"missing file: .*{gone}.* verify copied --requeue"):
        export(copied.root, target, form=form)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("form", ["netcdf", "zarr-zip", "csv"])
def test_a_run_with_a_flipped_bit_is_not_exported(copied, target, form: str) -> None:
    flip_bit(copied.store / CURVES)
    with pytest.raises(CorruptionError, match=rf"changed file: .*{CURVES}.* verify copied --req"):
        export(copied.root, target, form=form)
    assert not list(target.parent.iterdir())


def test_a_flipped_bit_in_what_no_area_is_made_of_is_in_no_archive(copied, target: Path) -> None:
    flip_bit(copied.store / PEAKS)
    with pytest.raises(CorruptionError, match=rf"changed file: .*{PEAKS}"):
        export(copied.root, target, form="zarr-zip")
    assert not list(target.parent.iterdir())


def test_a_copy_of_a_store_without_curves_of_its_items_is_not_exported(
    copied: RunFolder, target: Path
) -> None:
    store = copied.store.rename(target.with_name("lone.zarr"))
    (store / CURVES).unlink()
    with pytest.raises(CorruptionError, match=r"with status 1 .* but no whole curve"):
        export(store, target, form="netcdf")
    assert not target.exists()


def test_a_copy_of_a_run_without_what_runs_share_is_exported(copied, target: Path) -> None:
    assert export(copied.root, target, form="csv").stat().st_size > 1000


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


def test_a_folder_is_no_file_to_export_to(small_run: RunFolder, target: Path) -> None:
    with pytest.raises(UserError, match=r"out is a folder: expected the name of a file, such as"):
        export(small_run.root, target.parent, form="csv")
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("place", ["plans/0001.jsonl", "store.zarr/x.nc", "new/x.nc", "x.nc"])
@pytest.mark.parametrize("given", ["the folder", "a link to it"])
def test_nothing_is_exported_into_the_runs_own_folder(
    copied: RunFolder, target: Path, place: str, given: str
) -> None:
    target.symlink_to(copied.root)
    before = sorted(copied.root.rglob("*")), (copied.plans / "0001.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"lies in what is exported.*outside of it by --output"):
        export(copied.root, (copied.root if given == "the folder" else target) / place, form="csv")
    assert before == (sorted(copied.root.rglob("*")), (copied.plans / "0001.jsonl").read_bytes())


def test_a_store_that_was_copied_is_exported_beside_itself_and_not_over_itself(
    small_run: RunFolder, target: Path
) -> None:
    store = export(small_run.root, target.with_name("a.nc"), form="netcdf")
    before = store.read_bytes()
    with pytest.raises(UserError, match="lies in what is exported"):
        export(store, store, form="csv")
    assert store.read_bytes() == before
    assert export(store, target.with_name("a.csv"), form="csv").is_file()


def test_what_is_no_regular_file_is_not_replaced(small_run: RunFolder, target: Path) -> None:
    os.mkfifo(target)
    with pytest.raises(UserError, match="x is no regular file"):
        export(small_run.root, target, form="csv")
    assert target.is_fifo()
    assert [file.name for file in target.parent.iterdir()] == ["x"]


@pytest.mark.parametrize("place", ["/proc/nowhere/x.csv", "taken/x.csv", "x" * 250])
def test_a_place_that_cannot_be_written_is_named(small_run, target: Path, place: str) -> None:
    (target.parent / "taken").write_text("")
    with pytest.raises(UserError, match=r"cannot be written \(.*--output"):
        export(small_run.root, target.parent / place, form="csv")
    assert [file.name for file in target.parent.iterdir()] == ["taken"]


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


def test_the_same_run_is_the_same_archive(small_run: RunFolder, tmp_path: Path) -> None:
    paths = [export(small_run.root, tmp_path / name, form="zarr-zip") for name in ("a", "b")]
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
def test_its_sha256_stands_beside_a_file(small_run, tmp_path: Path, form: str) -> None:
    path = export(small_run.root, tmp_path / f"x{SUFFIXES[form]}", form=form)
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
