from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.records import read_record
from mtljobs.settings.base import load
from mtljobs.settings.store import Store
from mtljobs.store.merge import MergeReport
from mtljobs.store.zarr_store import ZarrStore

Layouts = dict[str, ExperimentLayout]
Explain = Callable[..., str]
Tree = Callable[[Path], dict[str, bytes]]
Merge = Callable[[RunFolder, Layouts], MergeReport]


@pytest.fixture
def store(run: RunFolder, layouts: Layouts, explain: Callable[..., str], merge: Merge) -> RunFolder:
    """A run with one block of the cell (0.5, seed 1) in its store."""
    explain(run, layouts, cell=(1, 1), block=1)
    merge(run, layouts)
    return run


def test_the_settings_name_this_backend() -> None:
    assert load(Store.implementations["zarr"]) is ZarrStore


def test_plain_xarray_opens_the_tree_without_a_warning(store: RunFolder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xarray.open_datatree(store.store, engine="zarr")
    assert tree.attrs["Conventions"] == "CF-1.11"
    assert set(tree["segnet"].children) == {"segmentation", "depth", "inputs"}
    cell = tree["segnet/depth"].to_dataset().sel(sparsity=0.5, seed=1, group="0.50-1.00")
    assert cell["status"].values.tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert cell["irof"].sel(image="test-00004").notnull().all()
    assert cell["irof"].dims == ("image", "step")


def test_plain_xarray_opens_one_task_with_its_labels(store: RunFolder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = xarray.open_zarr(store.store, group="segnet/segmentation", chunks=None)
    assert task["group"].values.tolist() == ["bed", "books", "wall"]
    assert task["image"].values[-1] == "test-00006"
    assert set(task.coords) == {
        "sparsity", "seed", "image", "image_id", "group", "group_id", "metric", "metric_id",
        "label", "label_id", "prediction", "prediction_id",
    }  # fmt: skip
    assert task["confusion"].dims == ("sparsity", "seed", "label", "prediction")
    assert task["group_id"].sel(group="wall") == 2


def test_readers_learn_the_settings_and_the_meaning_of_numbers(store: RunFolder) -> None:
    tree = xarray.open_datatree(store.store, engine="zarr")
    assert '"width": 0.25' in tree["segnet"].attrs["settings"]
    assert tree["segnet/depth"]["performance"].attrs["lower_is_better"] == "abs_error"
    assert tree["segnet/segmentation"]["performance"].attrs["lower_is_better"] == ""
    assert "not_run ok" in tree["segnet/depth"]["status"].attrs["flag_meanings"]
    assert tree["segnet/depth"]["irof"].attrs["units"] == "1"


def test_a_flipped_byte_in_any_chunk_is_an_error_on_reading(store: RunFolder) -> None:
    chunks = sorted(store.store.glob("segnet/*/*/c.1.1.1.*"))
    assert len(chunks) == 12
    for chunk in chunks:
        content = chunk.read_bytes()
        middle = len(content) // 2
        chunk.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        tree = xarray.open_datatree(store.store, engine="zarr")
        array = tree["/".join(chunk.parts[-4:-1])]
        with pytest.raises(ValueError, match="checksum"):
            array.load()
        chunk.write_bytes(content)
    xarray.open_datatree(store.store, engine="zarr").load()


def test_a_merge_that_died_between_two_chunks_is_finished_by_the_next(
    run: RunFolder,
    layouts: Layouts,
    explain: Callable[..., str],
    merge: Merge,
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    name = explain(run, layouts)
    undisturbed = run.root.with_name("undisturbed")
    shutil.copytree(run.root, undisturbed)
    merge(RunFolder(undisturbed), layouts)
    merge(run, layouts)
    # Back to the middle of it: two chunks are still in the commit, the record too.
    (run.ledger / f"{name}.json").rename(run.root / "record.json")
    for file in ("segnet/depth/status/c.0.0.0.0", "segnet/depth/irof/c.0.0.0.0.0"):
        (run.committed / name / file).parent.mkdir(parents=True)
        (run.store / file).rename(run.committed / name / file)
    (run.root / "record.json").rename(run.committed / name / "record.json")
    assert merge(run, layouts).merged == (name,)
    assert tree(run.store) == tree(undisturbed / "store.zarr")


def test_status_is_the_last_to_move(
    run: RunFolder,
    layouts: Layouts,
    explain: Callable[..., str],
    merge: Merge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = explain(run, layouts)
    moved: list[str] = []
    replace = Path.replace

    def watch(self: Path, target: Path) -> Path:
        if self.is_relative_to(run.committed):
            moved.append(self.parent.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    merge(run, layouts)
    assert len(moved) == len(read_record(run.ledger / f"{name}.json").files) == 12
    assert moved[-2:] == ["status", "status"]
    assert "status" not in moved[:-2]
