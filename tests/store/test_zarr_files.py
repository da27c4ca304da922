from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import create_folder
from mtljobs.store import zarr_files
from mtljobs.store.schema import build_schema

Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def grow(tmp_path: Path) -> Callable[..., Path]:
    def grow_to(name: str, **layouts: ExperimentLayout) -> Path:
        store, schema = tmp_path / name, build_schema(layouts)
        zarr_files.check_growth(store, schema)
        zarr_files.grow(store, schema, aside=create_folder(tmp_path / "aside"))
        return store

    return grow_to


def test_growth_that_dies_at_any_write_leaves_a_readable_store_and_is_finished_later(
    grow: Callable[..., Path],
    layout: ExperimentLayout,
    longer: ExperimentLayout,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = tree(grow("undisturbed", segnet=longer))
    store = grow("s", segnet=layout)
    write = zarr_files.replace_file
    written = deaths = 0

    def write_one_and_die(*args: Any, **kwargs: Any) -> None:
        nonlocal written
        if written > deaths:
            raise KeyboardInterrupt
        write(*args, **kwargs)
        written += 1

    monkeypatch.setattr(zarr_files, "replace_file", write_one_and_die)
    while True:
        try:
            grow("s", segnet=longer)
        except KeyboardInterrupt:
            deaths += 1
            assert xarray.open_datatree(store, engine="zarr")["segnet/depth"].sizes["sparsity"] == 2
        else:
            break
    assert deaths > 20
    assert tree(store) == expected


def test_a_broken_coordinate_is_named_and_can_be_written_anew(
    grow: Callable[..., Path], layout: ExperimentLayout, tree: Tree
) -> None:
    store = grow("s", segnet=layout)
    before = tree(store)
    chunk = store / "segnet" / "depth" / "group" / "c.0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptionError, match=r"depth/group.*--requeue"):
        grow("s", segnet=layout)
    chunk.unlink()
    grow("s", segnet=layout)
    assert tree(store) == before
