"""Every node and array of a run's store, as the plan's layouts fix them, for any backend.

A node is `<experiment>`, `<experiment>/<task>` or `<experiment>/inputs`. Chunks are 1 long along
sparsity and seed and a shard's block along image, so that a chunk has one writer and never moves
when a sparsity or a seed is appended.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.errors import GridError
from mtljobs.store.variables import (
    CELL,
    EXPERIMENT,
    EXPLANATIONS,
    INPUTS,
    MAPS,
    PERFORMANCES,
    PREVIEW,
    Variable,
)

SCHEMA_VERSION = 1
WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "int64": 8, "int32": 4, "uint16": 2, "uint8": 1,
          "string": 1}  # fmt: skip
"""Bytes of a number by its type's name; of text it is what a compressor may go by."""

GROWING = CELL
"""The axes that a later plan may lengthen, at their ends."""

_GROWTH_ROOM = 64
"""Chunk length of a growing coordinate: fixed, so that a longer one is read by old metadata."""

_CHUNK_LIMIT = 2**31 - 1
"""Bytes that blosc compresses at once."""

_MAPS_AT_ONCE = 2**20
"""Bytes of maps that are compressed as one, or one map: to read a map is to read these."""

_LABELS: dict[str, tuple[str, str, float | str]] = {
    "sparsity": ("sparsity aimed at, a fraction", "float64", math.nan),
    "seed": ("seed of the network", "int64", -1),
}
"""Coordinates of numbers: long_name, dtype, fill; all others are text."""

Label = str | int | float


@dataclass(frozen=True)
class Array:
    """What a store must know of an array before it holds a value.

    Attributes:
        name: Inside its node; an index coordinate is named as its axis.
        axes: Names of the dimensions.
        shape: Length of each axis now.
        chunks: Length of a chunk file along each axis, fixed for ever.
        dtype: numpy's name of the type, or "string".
        fill: What stands where nothing was written.
        attributes: JSON values: long_name, units and the like.
        labels: Values of a coordinate, in order; None for results.
        parts: What is compressed as one, along each axis; None: a whole chunk file.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    fill: float | str
    attributes: Mapping[str, Any]
    labels: tuple[Label, ...] | None = None
    parts: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of its values, before compression."""
        return math.prod(self.shape) * WIDTHS[self.dtype]

    def chunk_counts(self) -> tuple[int, ...]:
        """How many chunks lie along each axis; the last may be ragged."""
        return tuple(
            math.ceil(length / edge) for length, edge in zip(self.shape, self.chunks, strict=True)
        )


@dataclass(frozen=True)
class Node:
    """A group of the store; `path` has no leading slash, and the root's is empty."""

    path: str
    arrays: Mapping[str, Array]
    attributes: Mapping[str, Any]


def build_schema(layouts: Mapping[str, ExperimentLayout]) -> dict[str, Node]:
    """The nodes of a store by path, parents first.

    Args:
        layouts: Experiment name -> layout, as in the newest plan.

    Raises:
        GridError: A chunk would be larger than the compressor takes.
    """
    root = {"Conventions": "CF-1.11", "schema_version": SCHEMA_VERSION, "title": "mtljobs run"}
    nodes = [Node("", {}, root)]
    for experiment, layout in layouts.items():
        nodes.append(_experiment_node(experiment, layout))
        nodes += [
            _task_node(f"{experiment}/{name}", layout, task) for name, task in layout.tasks.items()
        ]
        nodes.append(_inputs_node(f"{experiment}/inputs", layout))
    return {node.path: node for node in nodes}


def _experiment_node(path: str, layout: ExperimentLayout) -> Node:
    axes = {"image": layout.images, "layer": layout.layers}
    attributes = {
        "settings": json.dumps(layout.settings, sort_keys=True),
        "inputs": layout.inputs,
        "maps": layout.maps,
        "tasks": " ".join(layout.tasks),
    }
    labels = _cells(layout) | axes
    return _node(path, layout, labels=labels, variables=EXPERIMENT, attributes=attributes)


def _task_node(path: str, layout: ExperimentLayout, task: TaskLayout) -> Node:
    extra = {axis: task.groups for axes in task.arrays.values() for axis in axes}
    axes = {"image": layout.images, "group": task.groups, "metric": task.metrics} | extra
    if layout.maps == "subset":
        axes["map_image"] = layout.images[: layout.map_images]
    better = {"lower_is_better": " ".join(task.lower_is_better)}
    variables = [
        *EXPLANATIONS,
        *MAPS[layout.maps],
        *(dataclasses.replace(performance, attributes=better) for performance in PERFORMANCES),
        # float64 counts pixels exactly up to 2**53 and has a NaN for "not run".
        *(Variable(name, (*CELL, *rest), name, "float64") for name, rest in task.arrays.items()),
    ]
    return _node(path, layout, labels=_cells(layout) | axes, variables=variables, attributes={})


def _inputs_node(path: str, layout: ExperimentLayout) -> Node:
    axes: dict[str, tuple[Label, ...]] = {"image": layout.images}
    variables = list(INPUTS)
    if layout.previews:
        variables.append(PREVIEW)
        axes["preview_image"] = layout.images[: layout.previews]
        axes["rgb"] = ("red", "green", "blue")
    return _node(path, layout, labels=axes, variables=variables, attributes={})


def _cells(layout: ExperimentLayout) -> dict[str, tuple[Label, ...]]:
    # 0.1 * 3 is not 0.3: rounded, a reader's `.sel(sparsity=0.3)` finds it.
    return {
        "sparsity": tuple(round(sparsity, 4) for sparsity in layout.sparsities),
        "seed": layout.seeds,
    }


def _node(
    path: str,
    layout: ExperimentLayout,
    *,
    labels: Mapping[str, tuple[Label, ...]],
    variables: Iterable[Variable],
    attributes: Mapping[str, Any],
) -> Node:
    lengths = {
        "step": layout.segments_max + 1,
        "segment": layout.segments_max,
        "row": layout.size[0],
        "column": layout.size[1],
        "cam_row": layout.cam_size[0],
        "cam_column": layout.cam_size[1],
    } | {axis: len(values) for axis, values in labels.items()}
    # HDF5 has no chunk that is longer than its axis.
    block = {"image": layout.block, "map_image": min(layout.block, layout.map_images)}
    edges = lengths | {"sparsity": 1, "seed": 1} | block
    coordinates = [array for axis, values in labels.items() for array in _coordinates(axis, values)]
    arrays = {array.name: array for array in coordinates}
    for variable in variables:
        arrays[variable.name] = _array(path, variable, lengths=lengths, edges=edges)
    # CF's `coordinates` tells readers that the numeric twins are labels, not results.
    twins = " ".join(array.name for array in coordinates if array.name not in labels)
    own = {"schema_version": SCHEMA_VERSION, "coordinates": twins}
    return Node(path, arrays, own | dict(attributes))


def _coordinates(axis: str, labels: tuple[Label, ...]) -> list[Array]:
    """An axis's labels; labels of text get a numeric twin, for readers that know no strings."""
    shape = (len(labels),)
    chunks = (_GROWTH_ROOM,) if axis in GROWING else shape
    long_name, dtype, fill = _LABELS.get(axis, (f"name of the {axis}", "string", ""))
    attributes = {"long_name": long_name}
    index = Array(axis, (axis,), shape, chunks, dtype, fill, attributes, labels)
    if dtype != "string":
        return [index]
    numbers = tuple(range(len(labels)))
    described = {"long_name": f"number of the {axis}"}
    return [index, Array(f"{axis}_id", (axis,), shape, chunks, "int32", -1, described, numbers)]


def _array(
    path: str, variable: Variable, *, lengths: Mapping[str, int], edges: Mapping[str, int]
) -> Array:
    shape = tuple(lengths[axis] for axis in variable.axes)
    chunks = tuple(edges[axis] for axis in variable.axes)
    size = math.prod(chunks) * WIDTHS[variable.dtype]
    if size > _CHUNK_LIMIT:
        raise GridError(
            f"One chunk of {path}/{variable.name} would have {size / 2**30:.1f} GiB and the "
            'compressor takes 2 GiB: choose a smaller explain.block, or maps = "scores".'
        )
    units = {"units": variable.units} if variable.units else {}
    attributes = {"long_name": variable.long_name} | units | dict(variable.attributes)
    return Array(
        variable.name,
        variable.axes,
        shape,
        chunks,
        variable.dtype,
        variable.fill,
        attributes,
        parts=_parts(variable, chunks),
    )


def _parts(variable: Variable, chunks: tuple[int, ...]) -> tuple[int, ...] | None:
    """A chunk's maps, those of one image, or each by itself: as many as may be read for one."""
    if "cam_row" not in variable.axes:
        return None
    parts = chunks
    for axis in ("image", "map_image", "group"):
        if axis in variable.axes and math.prod(parts) * WIDTHS[variable.dtype] > _MAPS_AT_ONCE:
            place = variable.axes.index(axis)
            parts = (*parts[:place], 1, *parts[place + 1 :])
    return None if parts == chunks else parts
