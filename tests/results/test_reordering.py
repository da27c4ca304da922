from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from mtljobs.results.reordering import reorder

VALUES = np.arange(3 * 2 * 4).reshape(3, 2, 4)
SPARSITY, SEED = np.array([0, 2, 1]), np.array([1, 0])
SORTED = VALUES[SPARSITY][:, SEED]


class Recorded(BackendArray):
    """What a store holds, and every key by which it was read."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.keys = VALUES.shape, VALUES.dtype, []

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        self.keys.append(key)
        return VALUES[
            np.ix_(*(np.arange(n)[part] for n, part in zip(VALUES.shape, key, strict=True)))
        ]


@pytest.fixture
def stored() -> Recorded:
    return Recorded()


@pytest.fixture
def array(stored: Recorded) -> xr.DataArray:
    variable = xr.Variable(("sparsity", "seed", "image"), indexing.LazilyIndexedArray(stored))
    dataset = xr.Dataset({"irof": variable}, coords={"sparsity": [0.0, 0.9, 0.5]})
    return reorder(dataset, {"sparsity": SPARSITY, "seed": SEED})["irof"]


@pytest.mark.parametrize("sparsity", [slice(None), slice(1, 2), [2, 0], [], 1, -1])
@pytest.mark.parametrize("seed", [slice(None), slice(None, None, -1), [1, 0], 0, -1])
def test_any_selection_is_that_of_the_reordered_array(array, sparsity, seed) -> None:
    for image in (slice(None), slice(1, 3), [3, 0], 2):
        found = array.isel(sparsity=sparsity, seed=seed, image=image)
        expected = xr.DataArray(SORTED, dims=array.dims)
        np.testing.assert_array_equal(
            found.values, expected.isel(sparsity=sparsity, seed=seed, image=image).values
        )


def test_it_is_read_by_slices_one_place_after_the_other_and_no_more_than_is_asked(
    array, stored: Recorded
) -> None:
    assert array["sparsity"].values.tolist() == [0.0, 0.5, 0.9]
    assert not stored.keys
    array.isel(sparsity=slice(1, 3), seed=0, image=slice(1, 3)).load()
    assert stored.keys == [
        (slice(2, 3, 1), slice(1, 2, 1), slice(1, 3, 1)),
        (slice(1, 2, 1), slice(1, 2, 1), slice(1, 3, 1)),
    ]


def test_a_selection_by_points_is_that_of_the_reordered_array(array) -> None:
    points = xr.DataArray([0, 2, 2], dims="point"), xr.DataArray([1, 1, 0], dims="point")
    found = array.isel(sparsity=points[0], seed=points[1])
    np.testing.assert_array_equal(found.values, SORTED[[0, 2, 2], [1, 1, 0]])


def test_what_was_read_once_is_not_read_again(array, stored: Recorded) -> None:
    array.load()
    count = len(stored.keys)
    np.testing.assert_array_equal(array.values, SORTED)
    assert len(stored.keys) == count == 6
