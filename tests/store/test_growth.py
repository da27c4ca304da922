from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray

from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.errors import StaleSlotError
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.store import zarr_files
from mtljobs.store.backend import Backend
from mtljobs.store.schema import build_schema
from mtljobs.store.writer import sole_writer

Tree = Callable[[Path], dict[str, bytes]]


pytestmark = pytest.mark.parametrize("backend_name", ["zarr", "hdf5"], indirect=True)


@pytest.fixture
def grow(tmp_path: Path, backend: Backend) -> Callable[..., Path]:
    def grow_to(name: str, **layouts: ExperimentLayout) -> Path:
        schema = build_schema(layouts)
        run = RunFolder(create_folder(tmp_path / name))
        store = backend.path(run)
        backend.check_growth(store, schema)
        with sole_writer(run, wait_s=0) as writer:
            backend.update(store, schema, (), writer=writer)
            assert list(writer.aside.iterdir()) == []
        return store

    return grow_to


def open_quietly(store: Path) -> xarray.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xarray.open_datatree(store, engine="h5netcdf" if store.is_file() else "zarr")


def test_a_new_store_opens_with_its_labels_and_no_results(
    grow: Callable[..., Path], layout: ExperimentLayout
) -> None:
    tree = open_quietly(grow("s", segnet=layout))
    assert tree["segnet"]["sparsity"].values.tolist() == [0.0, 0.5]
    assert tree["segnet/depth"]["group"].values.tolist() == ["0.00-0.50", "0.50-1.00"]
    assert (tree["segnet/depth"]["status"] == 0).all()
    assert tree["segnet/depth"]["irof"].isnull().all()


def test_a_grown_store_has_the_bytes_of_one_that_was_made_that_long(
    grow: Callable[..., Path], layout: ExperimentLayout, longer: ExperimentLayout, tree: Tree
) -> None:
    grow("grown", segnet=layout)
    grown = grow("grown", segnet=longer, other=layout)
    assert tree(grown) == tree(grow("new", segnet=longer, other=layout))
    assert open_quietly(grown)["segnet/depth"].sizes["sparsity"] == 3


def test_growing_to_the_same_plan_writes_nothing(
    grow: Callable[..., Path], layout: ExperimentLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow("s", segnet=layout)
    monkeypatch.setattr(zarr_files, "replace_file", pytest.fail)
    grow("s", segnet=layout)


def test_nothing_but_sparsities_and_seeds_may_change(
    grow: Callable[..., Path], layout: ExperimentLayout, tree: Tree
) -> None:
    store = grow("s", segnet=layout)
    before = tree(store)
    task = TaskLayout(groups=("near",), metrics=("abs_error",), lower_is_better=(), arrays={})
    changes: list[dict[str, Any]] = [
        {"sparsities": (0.0,)},
        {"sparsities": (0.0, 0.6)},
        {"sparsities": (0.5, 0.0)},
        {"seeds": (1, 0)},
        {"images": (*layout.images[:-1], "another")},
        {"images": (*layout.images, "one-more")},
        {"block": 7},
        {"size": (8, 8)},
        {"cam_size": (3, 3)},
        {"segments_max": 6},
        {"maps": "scores"},
        {"previews": 0},
        {"layers": ("conv1", "conv3")},
        {"inputs": "6e" * 32},
        {"settings": {**layout.settings, "width": 0.5}},
        {"tasks": {"depth": layout.tasks["depth"]}},
        {"tasks": {**layout.tasks, "depth": task}},
        {"tasks": {**layout.tasks, "normals": task}},
    ]
    for change in changes:
        with pytest.raises(StaleSlotError, match="--run NEW"):
            grow("s", segnet=dataclasses.replace(layout, **change))
        assert tree(store) == before, change


def test_an_experiment_that_the_plan_forgot_is_not_dropped(
    grow: Callable[..., Path], layout: ExperimentLayout
) -> None:
    grow("s", segnet=layout, other=layout)
    with pytest.raises(StaleSlotError, match="the store holds other"):
        grow("s", segnet=layout)
