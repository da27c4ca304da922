"""A merged run as large as the study's, with made-up numbers: what benchmarks of reading share."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.plan.frozen import Cell, Plan, freeze_plan
from mtljobs.store.chunks import chunk_name
from mtljobs.store.schema import Array, build_schema
from mtljobs.store.zarr_format import documents, encode, encode_labels

TASKS = ("segmentation", "depth", "normals")
SPARSITIES = {
    "deeplab-disparse": (0.0, 0.5, 0.7, 0.8, 0.9),
    "segnet-netslim": (0.0, 0.5, 0.6, 0.7, 0.8, 0.9),
    "segnet-hrank": (0.0, 0.5, 0.75, 0.875, 0.9375),
}
SETTINGS = {
    "experiment": {"data": {"size": (288, 384)}, "explain": {"faithfulness": {"name": "irof"}}}
}
CAM_SIZES = {
    "deeplab-disparse": (36, 48),
    "segnet-netslim": (288, 384),
    "segnet-hrank": (288, 384),
}
"""Rows and columns of the layers that the study explains, at 288 x 384 pixels."""

READ = {
    "irof",
    "status",
    "sparsity_parameters",
    "performance",
    "performance_constant",
    "n_segments",
}
"""The arrays that tables are made from; but for maps, all others stay unwritten."""


def write_run(
    run: RunFolder, *, images: int, groups: int, segments: int, maps: str = "scores"
) -> RunFolder:
    """A run folder as the reduction finds it, complete but for the arrays that it does not read.

    Args:
        maps: As of `explain`. Maps of one block of images are made up, and the files of all other
            blocks are hard links to it: as many bytes to read, and none to write.
    """
    task = TaskLayout(
        groups=tuple(f"group-{index:02}" for index in range(groups)),
        metrics=("accuracy", "error"),
        lower_is_better=("error",),
        arrays={},
    )
    layouts = {
        name: ExperimentLayout(
            sparsities=sparsities,
            seeds=(0, 1, 2),
            images=tuple(f"test-{index:05}" for index in range(images)),
            block=min(images, 16),
            size=(288, 384),
            cam_size=CAM_SIZES[name],
            segments_max=segments,
            tasks=dict.fromkeys(TASKS, task),
            layers=("encoder",),
            maps=maps,
            map_images=0 if maps == "scores" else images,
            previews=0,
            inputs="5" * 64,
            settings=SETTINGS,
        )
        for name, sparsities in SPARSITIES.items()
    }
    cells = tuple(
        Cell(name, sparsity, seed, identity="c" * 64, network="e" * 64, shards=())
        for name, layout in layouts.items()
        for sparsity in layout.sparsities
        for seed in layout.seeds
    )
    plan = Plan("synthetic", cells, layouts, shards=(), resources={}, backend="zarr")
    freeze_plan(run, plan, previous=None)
    _write_store(run, layouts, segments=segments)
    return run


def _write_store(run: RunFolder, layouts: dict[str, ExperimentLayout], *, segments: int) -> None:
    schema = build_schema(layouts)
    generator = np.random.default_rng(0)
    made: dict[tuple[int, ...], Path] = {}
    for node in schema.values():
        for array in node.arrays.values():
            folder = create_folder(run.store / node.path / array.name)
            if array.labels is not None:
                chunks = encode_labels(array)
            elif array.name in READ:
                chunks = _made_up(array, generator, segments=segments)
            elif array.name == "cam":
                _link_maps(array, folder, generator, made)
                continue
            else:
                continue
            for name, content in chunks.items():
                (folder / name).write_bytes(content)
    for name, document in documents(schema).items():
        (run.store / name).write_bytes(to_json(document))


def _made_up(array: Array, generator: np.random.Generator, *, segments: int) -> dict[str, bytes]:
    """Chunks of an array: curves that fall less the denser the network is, groups that miss."""
    values = generator.random(array.shape, dtype="float32")
    match array.name:
        case "irof":
            values *= np.linspace(1.0, 1.2, array.shape[0])[:, None, None, None, None]
        case "status":
            values = np.where(values < np.linspace(1.0, 0.2, array.shape[-1]), 1, 2)
        case "n_segments":
            values = np.full(array.shape, segments)
    region = tuple(slice(0, length) for length in array.shape)
    return encode(array, region, values.astype(array.dtype))


def _link_maps(
    array: Array, folder: Path, generator: np.random.Generator, made: dict[tuple[int, ...], Path]
) -> None:
    """Chunk files of maps: of each size one is written, and all others are links to it."""
    chunks = itertools.product(*map(range, array.chunk_counts()))
    for path in (folder / chunk_name(index) for index in chunks):
        if array.chunks not in made:
            values = make_maps(array.chunks[:-2], array.chunks[-2:], generator)
            (content,) = encode(
                array, tuple(slice(0, edge) for edge in array.chunks), values
            ).values()
            path.write_bytes(content)
            made[array.chunks] = path
        else:
            path.hardlink_to(made[array.chunks])


def make_maps(
    items: tuple[int, ...], size: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Three blobs and noise per item, cut at zero: they compress to half, as real ones would."""
    total = 0.1 * random.standard_normal((*items, *size), dtype="float32") - 0.05
    for _ in range(3):
        down, right = (
            np.exp(-(((np.arange(edge) - edge * random.random((*items, 1))) / (edge / 8)) ** 2))
            for edge in size
        )
        total += (down[..., :, None] * right[..., None, :]).astype("float32")
    return np.maximum(total, 0)
