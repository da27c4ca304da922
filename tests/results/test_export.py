from __future__ import annotations

import csv
import dataclasses
import hashlib
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from zarr.storage import ZipStore

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import aoc, open_run
from mtljobs.results import export as exporting
from mtljobs.results.export import SUFFIXES, export

PLACE = {"sparsity": 0.5, "seed": 1, "image": "test-00001", "group": "0.20-0.40"}


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
    def fail(run, path, experiments):
        path.write_text("half")
        raise CorruptionError("broken")

    path = tmp_path / "study.csv"
    path.write_text("old")
    monkeypatch.setitem(exporting.export.__globals__["_WRITERS"], "csv", fail)
    with pytest.raises(CorruptionError):
        export(stored_run.root, path, form="csv")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["study.csv"]


def test_an_experiment_that_is_not_there_is_answered_with_those_that_are(
    stored_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="did you mean 'segnet-hrank'"):
        export(stored_run.root, tmp_path / "x.csv", form="csv", experiments=["segnet-hrnk"])
    assert not list(tmp_path.iterdir())
