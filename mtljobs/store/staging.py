"""What a shard writes: the chunk files that it owns, under the names they have in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtljobs.store.backend import Backend, Schema
from mtljobs.store.schema import Array
from mtljobs.store.variables import CELL


class Staging:
    """A private folder that fills with chunk files and nothing else.

    The store's metadata follows from the plan, so a shard carries none.
    """

    def __init__(self, folder: Path, schema: Schema, backend: Backend) -> None:
        self.folder = folder
        self._schema = schema
        self._backend = backend

    def write(
        self,
        node: str,
        array: str,
        values: np.ndarray,
        *,
        sparsity: int,
        seed: int,
        block: int | None = None,
    ) -> None:
        """Write what one cell, or one image block of it, adds to an array.

        An array that has no sparsity and no seed axis is the same for every cell and belongs to
        cell (0, 0).

        Args:
            node: As in `"<experiment>/<task>"`.
            array: Name of the array.
            values: Along the array's axes without sparsity and seed; along image as many as the
                block has, or all images.
            sparsity: Index of the cell's sparsity, not the fraction.
            seed: Index of the cell's seed, not the seed.
            block: Index of the image block; None: all images.

        Raises:
            KeyError: There is no such array; lists those that are.
            IndexError: The store has no such cell or block.
            ValueError: The values have another shape, do not fit into the array's type, or belong
                to another cell.
        """
        spec = self._find(node, array)
        try:
            block_at = {"image": block, "map_image": block}
            region = _find_region(spec, {"sparsity": sparsity, "seed": seed} | block_at)
            fitting = _fit(spec, values, region)
        except (IndexError, ValueError) as error:
            error.add_note(f"while writing {node}/{array}, sparsity {sparsity}, seed {seed}")
            raise
        folder = self.folder / node / array
        folder.mkdir(parents=True, exist_ok=True)
        for name, chunk in self._backend.encode(spec, region, fitting).items():
            (folder / name).write_bytes(chunk)

    def _find(self, node: str, array: str) -> Array:
        if node not in self._schema:
            raise KeyError(f"no node {node!r} in the plan; it has {', '.join(self._schema)}")
        arrays = self._schema[node].arrays
        results = [spec.name for spec in arrays.values() if spec.labels is None]
        if array not in results:
            raise KeyError(f"{node} has no results {array!r}; it has {', '.join(results)}")
        return arrays[array]


def _find_region(spec: Array, where: Mapping[str, int | None]) -> tuple[slice, ...]:
    """The part of an array that a cell or block owns: whole chunks, up to the array's end."""
    if not set(CELL) & set(spec.axes) and any(where[axis] for axis in CELL):
        raise ValueError("it is the same for every cell, and cell (0, 0) alone writes it")
    region = []
    for axis, length, edge in zip(spec.axes, spec.shape, spec.chunks, strict=True):
        index = where.get(axis)
        if index is None:
            region.append(slice(0, length))
        elif index >= 0 and index * edge < length:
            region.append(slice(index * edge, min((index + 1) * edge, length)))
        else:
            raise IndexError(
                f"index {index} along {axis}: the plan has {length} there, in chunks of {edge}"
            )
    return tuple(region)


def _fit(spec: Array, values: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
    """The values in the array's type and with all of its axes."""
    extents = {axis: part.stop - part.start for axis, part in zip(spec.axes, region, strict=True)}
    expected = {axis: extent for axis, extent in extents.items() if axis not in CELL}
    values = np.asarray(values)
    if values.shape != tuple(expected.values()):
        raise ValueError(f"values have the shape {values.shape}, expected {expected}")
    if np.dtype(spec.dtype).kind == "f":
        return values.astype(spec.dtype).reshape(tuple(extents.values()))
    with np.errstate(invalid="ignore"):
        fitting = values.astype(spec.dtype)
    if not np.array_equal(fitting, values):
        raise ValueError(
            f"values from {values.min()} to {values.max()} do not fit into {spec.dtype}"
        )
    return fitting.reshape(tuple(extents.values()))
