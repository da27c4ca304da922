"""Stored arrays with the places of an axis in another order, still read when they are used."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing


def reorder(dataset: xr.Dataset, orders: Mapping[str, np.ndarray]) -> xr.Dataset:
    """A dataset of a store with the places of some axes in another order.

    Args:
        orders: Axis -> where each of its places was.
    """
    arrays = {
        name: _reorder(array.variable, orders)
        for name, array in dataset.items()
        if not orders.keys().isdisjoint(array.dims)
    }
    return dataset.isel(orders).assign(arrays)


def _reorder(stored: xr.Variable, orders: Mapping[str, np.ndarray]) -> xr.Variable:
    lazy = indexing.LazilyIndexedArray(_Reordered(stored, orders))
    # As xarray opens arrays; its annotations know arrays in memory alone.
    copied = indexing.CopyOnWriteArray(lazy)  # type: ignore[arg-type]
    cached = indexing.MemoryCachedArray(copied)  # type: ignore[no-untyped-call]
    return xr.Variable(stored.dims, cached, stored.attrs, stored.encoding)


class _Reordered(BackendArray):
    """A stored array with places in another order, read a place of these axes at a time.

    zarr-python reads a list of places of a sharded array ten times slower than one after the other,
    and with many times its memory.
    """

    def __init__(self, stored: xr.Variable, orders: Mapping[str, np.ndarray]) -> None:
        self._stored = stored
        self._orders = {
            stored.dims.index(axis): order for axis, order in orders.items() if axis in stored.dims
        }
        self.shape, self.dtype = stored.shape, stored.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        chosen = [np.arange(length)[part] for length, part in zip(self.shape, key, strict=True)]
        kept = [
            part if one.ndim else slice(one, one + 1) for one, part in zip(chosen, key, strict=True)
        ]
        values = np.empty([along.size for along in chosen], self.dtype)
        for cell in itertools.product(*(range(chosen[axis].size) for axis in self._orders)):
            source, target = kept.copy(), [slice(None)] * len(kept)
            for (axis, order), at in zip(self._orders.items(), cell, strict=True):
                place = int(order[chosen[axis].flat[at]])
                source[axis], target[axis] = slice(place, place + 1), slice(at, at + 1)
            values[tuple(target)] = self._stored[tuple(source)].values
        return values[tuple(slice(None) if along.ndim else 0 for along in chosen)]
