"""A real store keeps what docs/format.md promises, and is read as its example reads it."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mtljobs import results

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/format.md"
TASKS = ("segmentation", "depth")


@pytest.fixture(scope="module")
def store(finished_desk):
    """The store's one experiment, opened without anything of ours."""
    return xr.open_datatree(finished_desk.run.store, engine="zarr")["desk"].load()


def test_example_prints_the_areas_that_our_own_functions_find(finished_desk, tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example.replace("runs/demo/store.zarr", str(finished_desk.run.store)))
    runpy.run_path(str(script))
    lines = capsys.readouterr().out.splitlines()
    areas = results.aoc(results.open_run(finished_desk.run.root))
    for task, line in zip(TASKS, lines, strict=False):
        printed = re.fullmatch(rf"desk {task} {{0\.0: (.*)}}", line)
        assert float(printed[1]) == pytest.approx(float(areas[f"desk/{task}"].aoc.mean()), abs=1e-5)
    assert lines[len(TASKS)] in {"ok", "group_empty", "map_all_zero"}
    assert len(lines) == len(TASKS) + 1


@pytest.mark.parametrize("task", TASKS)
def test_curves_end_with_the_superpixels_of_their_image_and_orders_hold_each_once(store, task):
    items = store[task].to_dataset().isel(sparsity=0, seed=0)
    n_segments = store["inputs"].n_segments
    for image, group in np.ndindex(items.status.shape):
        item, count = items.isel(image=image, group=group), int(n_segments[image])
        ok = int(item.status) == 1
        assert np.isfinite(item.irof).values.tolist() == [
            ok and step <= count for step in range(item.sizes["step"])
        ]
        assert sorted(item.order.values[:count]) == list(range(count))
        assert (item.order[count:] == 65535).all()
        assert np.isfinite(item.segment_score[:count]).all()
        assert item.segment_score[count:].isnull().all()


@pytest.mark.parametrize("task", TASKS)
def test_superpixels_leave_in_the_order_of_their_scores(store, task):
    items = store[task].to_dataset().isel(sparsity=0, seed=0)
    for image in range(items.sizes["image"]):
        count = int(store["inputs"].n_segments[image])
        scores = items.segment_score[image, :, :count].values
        leaving = np.take_along_axis(scores, items.order[image, :, :count].values, axis=1)
        assert (np.diff(leaving) <= 0).all()


def test_superpixels_are_numbered_from_0_without_gaps(store):
    inputs = store["inputs"].to_dataset()
    for labels, count in zip(inputs.segments.values, inputs.n_segments.values, strict=True):
        assert np.unique(labels).tolist() == list(range(count))


def test_network_that_is_evaluated_has_a_sparsity(store):
    assert float(store.sparsity_parameters.sel(sparsity=0.0, seed=0)) == 0.0
    settings = json.loads(store.attrs["settings"])
    assert settings["experiment"]["training"]["iterations"] == 3


def test_every_chunk_of_results_belongs_to_one_record(finished_desk, store):
    run = finished_desk.run
    owned = [
        (name, entry)
        for path in run.ledger.glob("*.json")
        for name, entry in json.loads(path.read_text(encoding="utf-8"))["files"].items()
    ]
    labels = {array for node in store.subtree for array in node.coords}
    chunks = [
        path for path in run.store.rglob("c.*") if path.is_file() and path.parent.name not in labels
    ]
    assert sorted(name for name, _ in owned) == sorted(
        path.relative_to(run.store).as_posix() for path in chunks
    )
    for name, (sha256, size) in owned:
        content = (run.store / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, size)
    others = {path.name for path in run.store.rglob("*") if path.is_file()} - {"zarr.json"}
    assert all(re.fullmatch(r"c(\.\d+)+", name) for name in others)
