"""Real photographs with labels and depth, described by a TOML, through every stage."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mtljobs.contracts import STATUS
from mtljobs.ledger.paths import RunFolder
from mtljobs.report import write_report

FRAMES = Path(__file__).resolve().parents[3] / "shared/samples/ycb-video"
DESCRIPTION = Path(__file__).parents[1] / "data/ycb-video.toml"
GRID = """
[[experiment]]
name = "table-tops"
data = {{ name = "folder", id = "ycb-video", size = [64, 64] }}
model = {{ name = "segnet_mtan", width = 0.0625 }}
tasks = [{{ name = "segmentation" }}, {{ name = "depth" }}, {{ name = "normals" }}]
training = {{ iterations = 8, batch = 4, learning_rate = 1e-3 }}
pruning = {{ name = "netslim", tune_iterations = 4 }}
sparsities = [0.0, 0.5]
seeds = [0]
explain = {{ images = 2, previews = 1, superpixels = {{ name = "slic", n_segments = 10 }} }}

[resources]
data = {{ ycb-video = "{root}" }}
"""

pytestmark = pytest.mark.skipif(
    not FRAMES.is_dir(), reason=f"the real frames of {FRAMES} are not here"
)

Compute = Callable[[Path, Path], tuple[RunFolder, dict[str, str]]]


@pytest.fixture(scope="module")
def run(compute: Compute, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The frames prepared by the command line, and a grid over them computed; only read."""
    folder = tmp_path_factory.mktemp("table-tops")
    workspace = folder / "runs"
    prepared = subprocess.run(
        [sys.executable, "-m", "mtljobs", "data", "prepare", str(DESCRIPTION),
         "--root", str(FRAMES), "--workspace", str(workspace), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(prepared.stdout)["images"] == {"train": 12, "validation": 0, "test": 3}
    grid = folder / "table-tops.toml"
    grid.write_text(GRID.format(root=FRAMES), encoding="utf-8")
    run, outcomes = compute(grid, workspace)
    assert set(outcomes.values()) == {"done"}
    return run


@pytest.fixture(scope="module")
def store(run: RunFolder) -> xr.DataTree:
    """The store as anybody opens it."""
    return xr.open_datatree(run.store, engine="zarr")["table-tops"].load()


def test_groups_of_segmentation_are_the_class_names_of_the_description(
    store: xr.DataTree,
) -> None:
    names = (FRAMES / "classes.txt").read_text(encoding="utf-8").split()
    # The published list numbers its names: 002_master_chef_can.
    objects = [name.partition("_")[2] for name in names]
    assert store["segmentation"]["group"].values.tolist() == ["background", *objects]
    assert store["segmentation"]["confusion"].sizes["label"] == 22


def test_every_planned_item_was_run_and_every_curve_starts_at_one(store: xr.DataTree) -> None:
    for task in ("segmentation", "depth", "normals"):
        items = store[task].to_dataset()
        assert not items["status"].isin([0, 8]).any(), task
        ok = items["status"] == 1
        assert ok.any(["image", "group"]).all(), task  # of both networks
        assert (items["irof"].sel(step=0).where(ok, 1) == 1).all()
        assert items["irof"].isnull().all("step").where(~ok, True).all()
        counts = store["inputs"]["n_segments"]
        lengths = items["irof"].notnull().sum("step")
        assert (lengths == counts + 1).where(ok, True).all()


def test_absent_objects_are_empty_groups(store: xr.DataTree) -> None:
    status = store["segmentation"]["status"].sel(sparsity=0.0, seed=0)
    assert {STATUS[code] for code in np.unique(status)} <= {"ok", "group empty", "map all zero"}
    assert (status == 2).any()


def test_pooled_pixels_are_all_the_labelled_pixels_of_the_test_split(store: xr.DataTree) -> None:
    confusion = store["segmentation"]["confusion"]
    # Every pixel of three frames of 64 x 64 has a label; rows are what the labels say.
    assert (confusion.sum(["label", "prediction"]) == 3 * 64 * 64).all()
    shown = confusion.sum("prediction").isel(sparsity=0, seed=0)
    np.testing.assert_array_equal(shown, confusion.sum("prediction").isel(sparsity=1, seed=0))
    assert 0.7 < float(shown.sel(label="background") / shown.sum()) < 0.95


def test_depth_errors_are_in_metres_of_a_table_top(store: xr.DataTree) -> None:
    depth = store["depth"].to_dataset()
    # The scenes lie between 0.5 and 1.5 m: so far off is a constant, and so far a network that
    # has barely begun.
    assert 0.05 < float(depth["performance_constant"].sel(metric="abs_error")) < 0.5
    errors = depth["performance"].sel(metric="abs_error")
    assert ((errors > 0.05) & (errors < 2)).all()


def test_superpixels_and_preview_are_of_the_same_image(store: xr.DataTree) -> None:
    inputs = store["inputs"].to_dataset()
    assert inputs["image"].values.tolist() == ["0002/000001", "0002/000010"]
    preview = inputs["preview"].isel(preview_image=0).values.astype(float).mean(-1)
    segments = inputs["segments"].isel(image=0).values
    # Superpixels follow the image: within them it varies less than as a whole.
    means = np.bincount(segments.ravel(), preview.ravel()) / np.bincount(segments.ravel())
    assert (preview - means[segments]).std() < 0.8 * preview.std()


def test_half_of_the_prunable_channels_are_gone_after_the_cut(store: xr.DataTree) -> None:
    filters = store["sparsity_filters"].sel(seed=0)
    assert float(filters.sel(sparsity=0.0)) == 0
    assert 0.3 < float(filters.sel(sparsity=0.5)) < 0.6


def test_tables_and_page_are_there(run: RunFolder) -> None:
    table = (run.tables / "aoc.md").read_text(encoding="utf-8")
    assert "segmentation" in table
    page = write_report(run).read_text(encoding="utf-8")
    assert "table-tops" in page
    assert "data:image/" in page
