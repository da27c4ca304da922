"""Nodes of a run as a netCDF-4 file of the published format, written and read back piece by piece.

What writes it is the HDF5 backend's own writer; a run of any size takes the memory of some chunks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from mtljobs.errors import CorruptionError
from mtljobs.store import hdf5_file, hdf5_format
from mtljobs.store.chunks import chunk_region
from mtljobs.store.hdf5_store import find_fault
from mtljobs.store.schema import WIDTHS, Array, Node
from mtljobs.store.variables import FILLS

_AT_ONCE = 2**23
"""Bytes that are read and written at once, or one chunk file: of few, each costs a call of zarr."""

_Region = tuple[slice, ...]


def write_netcdf(tree: xr.DataTree, path: Path) -> None:
    """Write nodes with their coordinates, and read the file back.

    Args:
        tree: As `open_run` gives it, or a part of it.

    Raises:
        CorruptionError: What was written does not read back as it was.
    """
    schema = {node.path.strip("/"): _node(node) for node in tree.subtree}
    hdf5_file.write(path, schema, _encode(tree, schema))
    fault = find_fault(path, schema) or _find_difference(tree, schema, path)
    if fault:
        raise CorruptionError(
            f"what was written to {path.parent} is not what the run holds, but has {fault}: is the "
            "disk sound? Nothing was exported; give the command again, or another place by "
            "--output."
        )


def _node(node: xr.DataTree) -> Node:
    """A node as the format has it, with the coordinates of its own arrays."""
    arrays = node.to_dataset()
    own = node.to_dataset(inherit=False)
    used = {axis for array in own.values() for axis in array.dims}
    labels = {
        name: label
        for name, label in arrays.coords.items()
        if name in own.coords or used.issuperset(label.dims)
    }
    described = [_array(str(name), label, is_label=True) for name, label in labels.items()]
    described += [_array(str(name), array, is_label=False) for name, array in own.items()]
    # By this attribute readers tell labels from results; xarray took it when it read the store.
    twins = " ".join(str(name) for name, label in labels.items() if name not in label.dims)
    attributes = hdf5_file.plain(own.attrs) | ({"coordinates": twins} if described else {})
    return Node(node.path.strip("/"), {array.name: array for array in described}, attributes)


def _array(name: str, array: xr.DataArray, *, is_label: bool) -> Array:
    is_text = array.dtype.kind in "OTU"
    parts = array.encoding.get("chunksizes") or array.encoding.get("chunks") or array.shape
    chunks = array.encoding.get("shards") or parts
    return Array(
        name,
        axes=tuple(map(str, array.dims)),
        shape=array.shape,
        chunks=_inside(chunks, array.shape),
        dtype="string" if is_text else array.dtype.name,
        fill=FILLS.get(name, np.nan if array.dtype.kind == "f" else 0),
        attributes=hdf5_file.plain(array.attrs),
        labels=tuple(array.values.tolist()) if is_label else None,
        parts=_inside(parts, array.shape),
    )


def _inside(edges: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that do not reach beyond an array of one chunk, which HDF5 refuses."""
    return tuple(map(min, edges, shape))


def _encode(tree: xr.DataTree, schema: dict[str, Node]) -> Iterator[tuple[str, bytes]]:
    for path, array, region, values in _pieces(tree, schema):
        for chunk, content in hdf5_format.encode(array, region, values).items():
            yield f"{path}/{array.name}/{chunk}", content


def _pieces(
    tree: xr.DataTree, schema: dict[str, Node]
) -> Iterator[tuple[str, Array, _Region, np.ndarray]]:
    """Every result of the nodes, some chunk files at a time: node, array, place, values."""
    for path, node in schema.items():
        for array in node.arrays.values():
            if array.labels is None:
                variable = tree[f"/{path}"][array.name].variable
                pieces = _by_pieces(array)
                for index in np.ndindex(pieces.chunk_counts()):
                    region = chunk_region(pieces, index)
                    yield path, array, region, variable[region].values


def _by_pieces(array: Array) -> Array:
    """An array with chunks of as many of its chunk files, along its images, as go at once."""
    size = math.prod(array.chunks) * WIDTHS[array.dtype]
    count = max(1, _AT_ONCE // size)
    edges = (
        edge * count if axis in {"image", "map_image"} else edge
        for axis, edge in zip(array.axes, array.chunks, strict=True)
    )
    return dataclasses.replace(array, chunks=tuple(edges))


def _find_difference(tree: xr.DataTree, schema: dict[str, Node], path: Path) -> str | None:
    """Where a file, as HDF5 reads it, has other numbers than the run; None where nowhere."""
    with h5py.File(path, "r") as file:
        for node, array, region, values in _pieces(tree, schema):
            if not np.array_equal(file[f"{node}/{array.name}"][region], values, equal_nan=True):
                return f"other numbers in {node}/{array.name}"
    return None
