"""How each backend has an array of the schema: by itself, so that a plan can count without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from mtljobs.store.schema import Array


def zarr_form(array: Array) -> Array:
    """As the schema has it."""
    return array


def hdf5_form(array: Array) -> Array:
    """With types that netCDF has, and what is compressed as one for its chunks."""
    dtype = "float32" if array.dtype == "float16" else array.dtype
    return dataclasses.replace(array, dtype=dtype, chunks=array.parts or array.chunks, parts=None)


FORMS: dict[str, Callable[[Array], Array]] = {"zarr": zarr_form, "hdf5": hdf5_form}
"""By the backend's name in `[store]`."""

COPIED = frozenset({"hdf5"})
"""Backends whose merge writes the whole store anew, and needs the room for both."""
