from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray

from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.errors import CorruptionError, StaleSlotError
from mtljobs.ledger.paths import create_folder
from mtljobs.store import growth
from mtljobs.store.schema import build_schema

Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def grow(tmp_path: Path) -> Callable[..., Path]:
    def grow_to(store: str, **layouts: ExperimentLayout) -> Path:
        aside = create_folder(tmp_path / "aside")
        growth.grow(tmp_path / store, build_schema(layouts), aside=aside)
        assert list(aside.iterdir()) == []
        return tmp_path / store

    return grow_to


@pytest.fixture
def longer(layout: ExperimentLayout) -> ExperimentLayout:
    """The layout after a sparsity between the others and a seed were appended."""
    settings = {**layout.settings, "sparsities": [0.0, 0.5, 0.3], "seeds": [0, 1, 2]}
    return dataclasses.replace(
        layout, sparsities=(0.0, 0.5, 0.3), seeds=(0, 1, 2), settings=settings
    )


def open_quietly(store: Path) -> xarray.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xarray.open_datatree(store, engine="zarr")


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
    monkeypatch.setattr(growth, "replace_file", pytest.fail)
    grow("s", segnet=layout)


def test_growth_that_dies_at_any_write_leaves_a_readable_store_and_is_finished_later(
    grow: Callable[..., Path],
    layout: ExperimentLayout,
    longer: ExperimentLayout,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = tree(grow("undisturbed", segnet=longer))
    store = grow("s", segnet=layout)
    write = growth.replace_file
    written = deaths = 0

    def write_one_and_die(*args: Any, **kwargs: Any) -> None:
        nonlocal written
        if written > deaths:
            raise KeyboardInterrupt
        write(*args, **kwargs)
        written += 1

    monkeypatch.setattr(growth, "replace_file", write_one_and_die)
    while True:
        try:
            grow("s", segnet=longer)
        except KeyboardInterrupt:
            deaths += 1
            assert open_quietly(store)["segnet/depth"].sizes["sparsity"] == 2
        else:
            break
    assert deaths > 20
    assert tree(store) == expected


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


def test_a_broken_coordinate_is_named_and_can_be_written_anew(
    grow: Callable[..., Path], layout: ExperimentLayout, tree: Tree
) -> None:
    store = grow("s", segnet=layout)
    before = tree(store)
    chunk = store / "segnet" / "depth" / "group" / "c.0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptionError, match=r"depth/group.*remove its files"):
        grow("s", segnet=layout)
    chunk.unlink()
    grow("s", segnet=layout)
    assert tree(store) == before
