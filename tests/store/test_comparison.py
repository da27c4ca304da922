"""How far a shard's files are from others: in bits, and in numbers."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import Plan
from mtljobs.store.backend import read_part
from mtljobs.store.comparison import Comparison, compare
from mtljobs.store.inventory import take_inventory
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.zarr_store import ZarrStore

NAME = "segnet/depth/cam_max/c.0.0.0.0"


@pytest.fixture
def again(whole: RunFolder, tmp_path: Path) -> Path:
    """The shard's files as if they were computed again."""
    return shutil.copytree(whole.store, tmp_path / "again")


@pytest.fixture
def compared(
    whole: RunFolder, workspace: Workspace, plan: Plan, again: Path
) -> Callable[[], Comparison]:
    (held,) = [
        one
        for one in take_inventory(whole, workspace, plan, ZarrStore()).held
        if one.shard == plan.shards[2].name
    ]
    decode = partial(read_part, ZarrStore(), build_schema(plan.layouts))
    return lambda: compare(held, again, decode)


def write(again: Path, plan: Plan, change: Callable[[np.ndarray], None]) -> None:
    schema = build_schema(plan.layouts)
    values = read_part(ZarrStore(), schema, NAME, (again / NAME).read_bytes()).values[0, 0].copy()
    change(values)
    staging = Staging(again, schema, ZarrStore())
    staging.write("segnet/depth", "cam_max", values, sparsity=0, seed=0, block=0)


def test_equal_files_are_equal(compared: Callable[[], Comparison]) -> None:
    assert compared() == Comparison(12, (), 0.0)


def test_largest_difference_of_two_numbers_counts(
    compared: Callable[[], Comparison], again: Path, plan: Plan
) -> None:
    def change(values: np.ndarray) -> None:
        values[0, 0] += 0.125
        values[1, 1] -= 0.5

    write(again, plan, change)
    found = compared()
    assert found.different == (NAME,)
    assert found.deviation == pytest.approx(0.5)


def test_number_against_none_is_infinitely_far(
    compared: Callable[[], Comparison], again: Path, plan: Plan
) -> None:
    write(again, plan, lambda values: values.__setitem__((0, 0), math.nan))
    assert compared().deviation == math.inf


def test_file_that_is_missing_or_cannot_be_read_is_infinitely_far(
    compared: Callable[[], Comparison], again: Path
) -> None:
    (again / NAME).write_bytes(b"?")
    (again / "segnet/depth/status/c.0.0.0.0").unlink()
    found = compared()
    assert len(found.different) == 2
    assert found.deviation == math.inf
