"""A network that predicts coarser than its images, through every stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from mtljobs.contracts import Dataset
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.tasks.segmentation import VOID

GRID = """
[[experiment]]
name = "coarse"
data = { name = "rooms", size = [40, 56], train = 8, test = 4 }
model = { name = "deeplab_resnet", width = 0.0625 }
tasks = [{ name = "segmentation" }, { name = "normals" }]
training = { iterations = 2, batch = 4, learning_rate = 1e-3 }
pruning = { name = "netslim", tune_iterations = 1 }
sparsities = [0.5]
seeds = [0]
explain = { images = 2, superpixels = { name = "slic", n_segments = 8 } }
"""

ROOMS = Rooms(name="rooms", size=(40, 56), train=8, test=4)

Compute = Callable[[Path, Path], tuple[RunFolder, dict[str, str]]]


def rooms_shown() -> Dataset:
    dataset: Dataset = build(ROOMS, info=ROOMS.info(), split="test", root=None)
    return dataset


@pytest.fixture(scope="module")
def store(compute: Compute, tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    folder = tmp_path_factory.mktemp("coarse")
    grid = folder / "coarse.toml"
    grid.write_text(GRID, encoding="utf-8")
    run, outcomes = compute(grid, folder / "runs")
    assert set(outcomes.values()) == {"done"}
    return xr.open_datatree(run.store, engine="zarr")["coarse"].load()


def test_maps_have_the_resolution_of_the_layer_and_superpixels_that_of_the_image(
    store: xr.DataTree,
) -> None:
    assert dict(store["normals"].sizes)["cam_row"] == 6  # 40 rows: 20, 11, 6
    assert dict(store["normals"].sizes)["cam_column"] == 8  # 56 columns: 28, 15, 8
    assert dict(store["inputs"]["segments"].sizes) == {"image": 2, "row": 40, "column": 56}


def test_metrics_count_every_pixel_of_the_image(store: xr.DataTree) -> None:
    labelled = sum(int((sample["segmentation"] != VOID).sum()) for sample in rooms_shown())
    assert 0.9 * 4 * 40 * 56 < labelled <= 4 * 40 * 56
    assert int(store["segmentation"]["confusion"].sum()) == labelled
    assert store["normals"]["performance"].notnull().all()


@pytest.mark.parametrize("task", ["segmentation", "normals"])
def test_every_item_was_run_and_every_curve_starts_at_one(store: xr.DataTree, task: str) -> None:
    items = store[task].to_dataset()
    ok = items["status"] == 1
    assert not items["status"].isin([0, 8]).any()
    assert ok.any(["image", "group"]).all()
    assert (items["irof"].sel(step=0).where(ok, 1) == 1).all()
    assert (items["irof"].notnull().sum("step") == store["inputs"]["n_segments"] + 1).where(
        ok, True
    ).all()  # fmt: skip


def test_half_of_the_backbone_is_gone_and_the_branches_are_whole(store: xr.DataTree) -> None:
    layers = store["layer_sparsity"].isel(seed=0).sel(sparsity=0.5)
    second = layers.sel(layer=[name for name in layers["layer"].values if "second" in str(name)])
    assert (second == 0).all()
    assert float(store["sparsity_parameters"].isel(seed=0).sel(sparsity=0.5)) > 0.05
    assert float(layers.sel(layer="backbone.layer4.2.conv2")) > 0
