"""What is not exported, and what an export leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import export as exporting
from mtljobs.results import netcdf
from mtljobs.results.export import export
from mtljobs.store import hdf5_format

CURVES = "segnet-hrank/depth/irof/c.1.0.0.0.0"
STATUS = "segnet-hrank/depth/status/c.1.0.0.0"
PEAKS = "segnet-hrank/depth/cam_max/c.1.0.0.0"


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


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
def test_a_run_without_one_of_its_chunks_is_not_exported(spoilt, target, form, gone: str) -> None:
    (spoilt.store / gone).unlink()
    with pytest.raises(CorruptionError, match=rf"missing file: .*{gone}.* verify copied --requeue"):
        export(spoilt.root, target, form=form)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("form", ["netcdf", "zarr-zip", "csv"])
def test_a_run_with_a_flipped_bit_is_not_exported(spoilt, target, form: str) -> None:
    flip_bit(spoilt.store / CURVES)
    with pytest.raises(CorruptionError, match=rf"changed file: .*{CURVES}.* verify copied --req"):
        export(spoilt.root, target, form=form)
    assert not list(target.parent.iterdir())


def test_a_flipped_bit_in_what_no_area_is_made_of_is_in_no_archive(spoilt, target: Path) -> None:
    flip_bit(spoilt.store / PEAKS)
    with pytest.raises(CorruptionError, match=rf"changed file: .*{PEAKS}"):
        export(spoilt.root, target, form="zarr-zip")
    assert not list(target.parent.iterdir())


def test_a_copy_of_a_store_without_curves_of_its_items_is_not_exported(
    spoilt: RunFolder, target: Path
) -> None:
    store = spoilt.store.rename(target.with_name("lone.zarr"))
    (store / CURVES).unlink()
    with pytest.raises(CorruptionError, match=r"with status 1 .* but no whole curve"):
        export(store, target, form="netcdf")
    assert not target.exists()


def test_a_copy_of_a_run_without_what_runs_share_is_exported(spoilt, target: Path) -> None:
    assert export(spoilt.root, target, form="csv").stat().st_size > 1000


def test_a_folder_is_no_file_to_export_to(small_run: RunFolder, target: Path) -> None:
    with pytest.raises(UserError, match=r"out is a folder: expected the name of a file, such as"):
        export(small_run.root, target.parent, form="csv")
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("place", ["plans/0001.jsonl", "store.zarr/x.nc", "new/x.nc", "x.nc"])
@pytest.mark.parametrize("given", ["the folder", "a link to it"])
def test_nothing_is_exported_into_the_runs_own_folder(
    spoilt: RunFolder, target: Path, place: str, given: str
) -> None:
    target.symlink_to(spoilt.root)
    before = sorted(spoilt.root.rglob("*")), (spoilt.plans / "0001.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"lies in what is exported.*outside of it by --output"):
        export(
            spoilt.root,
            (spoilt.root if given == "the folder" else target) / place,
            form="csv",
        )
    assert before == (
        sorted(spoilt.root.rglob("*")),
        (spoilt.plans / "0001.jsonl").read_bytes(),
    )


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


def test_a_file_stays_what_it_was_where_the_new_one_fails(
    true_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(part, path):
        path.write_text("half")
        raise CorruptionError("broken")

    path = tmp_path / "study.csv"
    path.write_text("old")
    monkeypatch.setitem(exporting.export.__globals__["_WRITERS"], "csv", fail)
    with pytest.raises(CorruptionError):
        export(true_run.root, path, form="csv")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["study.csv"]
