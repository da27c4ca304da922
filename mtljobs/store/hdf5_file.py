"""A store as one netCDF-4 file: written whole, and read by the names of its chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

import h5netcdf
import h5py
import numpy as np

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import open_file
from mtljobs.store.backend import Schema
from mtljobs.store.chunks import chunk_index, chunk_name
from mtljobs.store.forms import hdf5_form
from mtljobs.store.growth import Document
from mtljobs.store.hdf5_format import DEFLATE_LEVEL
from mtljobs.store.schema import WIDTHS, Array, Node
from mtljobs.store.seal import seal
from mtljobs.store.sources import WHOLE

# What HDF5 and its readers in Python raise where bytes make no sense to them.
_UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError)

ROOT = "/"
"""Path of the root; all others have no leading slash."""


def write(path: Path, schema: Schema, chunks: Iterable[tuple[str, bytes]]) -> None:
    """Write a store: the same bytes for the same schema and chunks, under one release of HDF5.

    Args:
        chunks: Name and bytes, in the order in which they are to lie.
    """
    # The file is nobody else's, and some network file systems refuse to lock any.
    with h5netcdf.File(path, "w", locking=False) as file:
        for node in schema.values():
            _create_node(file.create_group(node.path) if node.path else file, node)
    with h5py.File(path, "r+", locking=False) as file:
        for name, content in chunks:
            array, index = place(name)
            dataset = file[array]
            dataset.id.write_direct_chunk(_offset(dataset, index), content)
    seal(path)


def place(name: str) -> tuple[str, tuple[int, ...]]:
    """Path of the array, and which of its chunks a file is."""
    array, _, chunk = name.rpartition("/")
    return array, chunk_index(chunk)


def _offset(dataset: h5py.Dataset, index: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(at * edge for at, edge in zip(index, dataset.chunks, strict=True))


def _create_node(group: h5netcdf.Group, node: Node) -> None:
    group.attrs.update(node.attributes)
    arrays = [hdf5_form(array) for array in node.arrays.values()]
    group.dimensions = {
        axis: length
        for array in arrays
        for axis, length in zip(array.axes, array.shape, strict=True)
    }
    for array in arrays:
        variable = (
            _create_result(group, array) if array.labels is None else _create_labels(group, array)
        )
        for name, value in array.attributes.items():
            is_list = isinstance(value, list)  # of values of the array, as CF has it
            variable.attrs[name] = np.array(value, array.dtype) if is_list else value


def _create_labels(group: h5netcdf.Group, array: Array) -> h5netcdf.Variable:
    if array.dtype != "string":
        return group.create_variable(
            array.name, array.axes, data=np.array(array.labels, dtype=array.dtype)
        )
    variable = group.create_variable(array.name, array.axes, h5py.string_dtype())
    variable[...] = np.array(array.labels, dtype=object)
    return variable


def _create_result(group: h5netcdf.Group, array: Array) -> h5netcdf.Variable:
    variable = group.create_variable(
        array.name,
        array.axes,
        array.dtype,
        fillvalue=np.dtype(array.dtype).type(array.fill),
        chunks=array.chunks,
        compression="gzip",
        compression_opts=DEFLATE_LEVEL,
        shuffle=WIDTHS[array.dtype] > 1,
        fletcher32=True,
    )
    # A fill is a value like others, as codes are; by this attribute readers would take it for NaN.
    del variable.attrs["_FillValue"]
    return variable


def documents(schema: Schema) -> dict[str, Document]:
    """What a store of a plan says of its nodes and arrays, by path."""
    found: dict[str, Document] = {}
    for node in schema.values():
        found[node.path or ROOT] = {"attributes": dict(node.attributes)}
        for array in map(hdf5_form, node.arrays.values()):
            found[f"{node.path}/{array.name}"] = {
                "attributes": dict(array.attributes),
                "shape": list(array.shape),
                "dimension_names": list(array.axes),
                "dtype": array.dtype,
                "chunks": list(array.chunks) if array.labels is None else None,
                "fletcher32": array.labels is None,
            }
    return found


Labels = dict[str, list[Any]]
"""Of coordinates, by path."""


def describe(path: Path) -> tuple[dict[str, Document], Labels]:
    """What a file says of its nodes and arrays, and the labels of its coordinates.

    Raises:
        CorruptionError: It cannot be read.
    """
    found: dict[str, Document] = {}
    labels: Labels = {}
    try:
        open_file(path).close()  # HDF5 would wait for a FIFO
        with h5netcdf.File(path, "r") as file:
            groups = [file]
            while groups:
                group = groups.pop()
                groups += group.groups.values()
                found[group.name.strip("/") or ROOT] = {"attributes": plain(group.attrs)}
                for name, variable in group.variables.items():
                    path_inside = f"{group.name}/{name}".strip("/")
                    found[path_inside] = _describe(variable)
                    if variable.chunks is None:
                        labels[path_inside] = _labels(variable)
    except _UNREADABLE as error:
        raise CorruptionError(
            f"{path} cannot be read as HDF5 ({error}). `mtljobs verify --requeue` moves it away."
        ) from error
    return found, labels


def _labels(variable: h5netcdf.Variable) -> list[Any]:
    return [
        value.decode() if isinstance(value, bytes) else value for value in variable[...].tolist()
    ]


def _describe(variable: h5netcdf.Variable) -> Document:
    is_text = h5py.check_string_dtype(np.dtype(variable.dtype)) or variable.dtype is str
    return {
        "attributes": plain(variable.attrs),
        "shape": list(variable.shape),
        "dimension_names": list(variable.dimensions),
        "dtype": "string" if is_text else np.dtype(variable.dtype).name,
        "chunks": None if variable.chunks is None else list(variable.chunks),
        "fletcher32": variable.fletcher32,
    }


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON has them, whichever backend they were read from."""
    return {
        str(name): np.asarray(value).tolist()
        if isinstance(value, np.ndarray | np.generic | tuple)
        else value
        for name, value in attributes.items()
    }


class Hdf5Source:
    """The chunks in a store, as the bytes that HDF5 keeps.

    It is the file that has the name now: a merge gives the name to another. Of a file that HDF5
    does not open nothing can be said, and every question ends in a `CorruptionError`; of one that
    is damaged inside, what cannot be read is not here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()  # zarr-python reads from several threads
        self._opened: tuple[int, int] | None = None
        self._file: h5py.File | None = None
        self._datasets: dict[str, h5py.Dataset | None] = {}

    def _open(self) -> h5py.File | None:
        """The file; None where there is none."""
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as error:
            raise _unopened(self._path, error) from error
        now = found and (found.st_ino, found.st_mtime_ns)
        if now != self._opened:
            self._file, self._datasets = _open_file(self._path) if now else None, {}
            self._opened = now
        return self._file

    def path(self, name: str) -> Path:
        """As HDF5's tools write it: the file, then the place inside."""
        return self._path / name

    def names(self) -> Iterator[str]:
        """Every chunk that was written."""
        file = self._open()
        if file is None:
            return
        arrays: list[str] = []
        with suppress(*_UNREADABLE):  # what was found before the damage
            file.visit(arrays.append)
        for array in arrays:
            dataset = self._dataset(array)
            if dataset is not None:
                yield from (f"{array}/{chunk}" for chunk in _chunks(dataset))

    def size(self, name: str) -> int | None:
        """Bytes that the chunk takes in the file."""
        array, index = place(name)
        dataset = self._dataset(array)
        if dataset is None or len(index) != dataset.ndim:
            return None
        try:
            info = dataset.id.get_chunk_info_by_coord(_offset(dataset, index))
        except _UNREADABLE:
            return None
        return None if info.byte_offset is None else int(info.size)

    def read(self, name: str, part: slice = WHOLE) -> bytes:
        """The chunk as it is, not decoded."""
        array, index = place(name)
        dataset = self._dataset(array)
        if dataset is None:
            raise FileNotFoundError(f"{self.path(name)} is not there")
        try:
            return bytes(dataset.id.read_direct_chunk(_offset(dataset, index))[1])[part]
        except _UNREADABLE as error:
            raise OSError(f"{self.path(name)} cannot be read: {error}") from error

    def hash(self, name: str) -> str:
        """Of the chunk as it is."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def _dataset(self, array: str) -> h5py.Dataset | None:
        """An array of results, opened once."""
        with self._lock:
            file = self._open()
            if array not in self._datasets:
                self._datasets[array] = None if file is None else _find_result(file, array)
            return self._datasets[array]


def _open_file(path: Path) -> h5py.File:
    # Locked, as xarray does it: HDF5 opens a file twice in one process in one and the same way.
    try:
        open_file(path).close()  # HDF5 would wait for a FIFO
        return h5py.File(path, "r")
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: OSError) -> CorruptionError:
    return CorruptionError(f"{path} cannot be opened as HDF5 ({error})")


def _find_result(file: h5py.File, array: str) -> h5py.Dataset | None:
    """A chunked array, which no coordinate is; None where there is none that can be read."""
    try:
        found = file[array]
        is_result = isinstance(found, h5py.Dataset) and found.chunks is not None
    except _UNREADABLE:
        return None
    return found if is_result else None


def _chunks(dataset: h5py.Dataset) -> list[str]:
    """Names of an array's chunks, as far as HDF5 can list them."""
    offsets: list[tuple[int, ...]] = []
    with suppress(*_UNREADABLE):  # those before the damage
        dataset.id.chunk_iter(lambda info: offsets.append(info.chunk_offset))
    edges = dataset.chunks
    return [
        chunk_name([at // edge for at, edge in zip(offset, edges, strict=True)])
        for offset in offsets
    ]
