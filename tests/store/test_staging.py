from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mtljobs.contracts import ExperimentLayout
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.zarr_store import ZarrStore

Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def staging(tmp_path: Path, layout: ExperimentLayout) -> Staging:
    return Staging(tmp_path / "staging", build_schema({"segnet": layout}), ZarrStore())


@pytest.fixture
def files(tmp_path: Path, tree: Tree) -> Callable[[], set[str]]:
    return lambda: set(tree(tmp_path / "staging"))


def test_a_block_becomes_its_chunk_and_no_other_file(
    staging: Staging, files: Callable[[], set[str]]
) -> None:
    staging.write("segnet/depth", "irof", np.ones((3, 2, 6)), sparsity=1, seed=0, block=1)
    assert files() == {"segnet/depth/irof/c.1.0.1.0.0"}


def test_a_ragged_block_takes_the_images_that_are_left(
    staging: Staging, files: Callable[[], set[str]]
) -> None:
    staging.write("segnet/depth", "cam_max", np.ones((1, 2)), sparsity=0, seed=1, block=2)
    assert files() == {"segnet/depth/cam_max/c.0.1.2.0"}
    with pytest.raises(ValueError, match=r"expected \{'image': 1, 'group': 2\}"):
        staging.write("segnet/depth", "cam_max", np.ones((3, 2)), sparsity=0, seed=1, block=2)


def test_without_a_block_a_cell_writes_all_its_images(
    staging: Staging, files: Callable[[], set[str]]
) -> None:
    staging.write("segnet/depth", "performance_image", np.ones((7, 1)), sparsity=0, seed=0)
    assert files() == {f"segnet/depth/performance_image/c.0.0.{block}.0" for block in range(3)}


def test_what_is_the_same_for_every_cell_belongs_to_the_first(
    staging: Staging, files: Callable[[], set[str]]
) -> None:
    with pytest.raises(ValueError, match=r"cell \(0, 0\) alone"):
        staging.write("segnet/depth", "performance_constant", np.ones(1), sparsity=1, seed=0)
    assert files() == set()
    staging.write("segnet/depth", "performance_constant", np.ones(1), sparsity=0, seed=0)
    assert files() == {"segnet/depth/performance_constant/c.0"}


def test_two_attempts_write_the_same_bytes(
    tmp_path: Path, layout: ExperimentLayout, tree: Tree
) -> None:
    values = np.random.default_rng(0).random((3, 2, 6))
    for attempt in ("1", "2"):
        staging = Staging(tmp_path / attempt, build_schema({"segnet": layout}), ZarrStore())
        staging.write("segnet/depth", "irof", values, sparsity=0, seed=0, block=0)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


@pytest.mark.parametrize(
    ("node", "array", "message"),
    [
        ("segnet/normals", "irof", "it has .*segnet/depth"),
        ("segnet/depth", "iorf", "it has .*irof"),
        ("segnet/depth", "group", "it has .*irof"),
    ],
)
def test_an_array_that_is_not_planned_is_refused_with_those_that_are(
    staging: Staging, node: str, array: str, message: str
) -> None:
    with pytest.raises(KeyError, match=message):
        staging.write(node, array, np.ones(1), sparsity=0, seed=0)


@pytest.mark.parametrize(
    "where",
    [
        {"sparsity": 2, "seed": 0, "block": 0},
        {"sparsity": -1, "seed": 0, "block": 0},
        {"sparsity": 0, "seed": 2, "block": 0},
        {"sparsity": 0, "seed": 0, "block": 3},
    ],
)
def test_a_cell_or_block_that_is_not_planned_is_refused(
    staging: Staging, where: dict[str, int]
) -> None:
    with pytest.raises(IndexError, match="the plan has"):
        staging.write("segnet/depth", "cam_max", np.ones((3, 2)), **where)


@pytest.mark.parametrize("value", [-1, 65536, 0.5, np.nan])
def test_a_number_that_the_type_cannot_hold_is_refused(staging: Staging, value: float) -> None:
    order = np.full((3, 2, 5), value)
    with pytest.raises(ValueError, match="do not fit into uint16"):
        staging.write("segnet/depth", "order", order, sparsity=0, seed=0, block=0)


def test_a_refusal_says_where_it_happened(staging: Staging) -> None:
    with pytest.raises(ValueError, match="shape") as caught:
        staging.write("segnet/depth", "irof", np.ones(3), sparsity=1, seed=0, block=0)
    assert caught.value.__notes__ == ["while writing segnet/depth/irof, sparsity 1, seed 0"]
