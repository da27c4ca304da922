"""A small run with every array of the schema: known numbers, no network behind them.

2 experiments, 3 tasks, 3 sparsities, 2 seeds, 6 images in 2 blocks; sparsities arrive unsorted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mtljobs.contracts import ExperimentLayout, Record, Shard, TaskLayout
from mtljobs.ledger.files import hash_file, remove_tree, to_json
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.ledger.records import write_record
from mtljobs.plan.cells import reduction
from mtljobs.plan.frozen import Cell, Plan, freeze_plan, read_newest
from mtljobs.plan.networks import shard_identity
from mtljobs.store.inputs import inputs_name
from mtljobs.store.schema import build_schema
from mtljobs.store.zarr_files import own_files
from mtljobs.store.zarr_format import documents, encode, encode_labels

TASKS = {
    "segmentation": TaskLayout(
        groups=("bed", "floor", "wall"),
        metrics=("miou", "pixel_accuracy"),
        lower_is_better=(),
        arrays={"confusion": ("label", "prediction")},
    ),
    "depth": TaskLayout(
        groups=("0.00-0.20", "0.20-0.40", "0.40-0.60", "0.60-0.80", "0.80-1.00"),
        metrics=("abs_error", "rel_error"),
        lower_is_better=("abs_error", "rel_error"),
        arrays={},
    ),
    "normals": TaskLayout(
        groups=("+++", "++-", "-+-", "---"),
        metrics=("angle_mean", "within_30"),
        lower_is_better=("angle_mean",),
        arrays={},
    ),
}
DENSE = {"miou": 0.42, "pixel_accuracy": 0.71, "abs_error": 0.48, "rel_error": 0.19,
         "angle_mean": 31.0, "within_30": 0.58}  # fmt: skip
CONSTANT = {"miou": 0.07, "pixel_accuracy": 0.31, "abs_error": 0.84, "rel_error": 0.35,
            "angle_mean": 56.0, "within_30": 0.21}  # fmt: skip
SIZE = (64, 64)
CAM_SIZE = (16, 16)
SEGMENTS_MAX = 32
PEAK = 2.5
"""Maximum of every map."""
SUPERPIXEL_GRIDS = ((4, 4), (4, 5), (5, 5), (4, 6), (5, 6), (3, 4))
"""Superpixels of image i: this many rows and columns of rectangles."""


Arrays = dict[str, dict[str, np.ndarray]]
"""Node -> name of an array that is no coordinate -> its values."""


def write_run(
    run: RunFolder,
    *,
    layouts: Mapping[str, ExperimentLayout] | None = None,
    arrays: Arrays | None = None,
) -> RunFolder:
    """A run folder as the reduction finds it: plan, ledger and store."""
    layouts = layouts or make_layouts()
    freeze_plan(run, make_plan(layouts), previous=None)
    write_records(run)
    write_store(run, layouts, arrays or make_arrays(layouts))
    return run


def make_plan(layouts: Mapping[str, ExperimentLayout]) -> Plan:
    """A plan of all cells, without the shards behind them."""
    cells = tuple(
        Cell(experiment, sparsity, seed, identity="c" * 64, network="e" * 64, shards=())
        for experiment, layout in layouts.items()
        for sparsity in layout.sparsities
        for seed in layout.seeds
    )
    return Plan("synthetic", cells, layouts, shards=(), resources={}, backend="zarr")


def write_records(run: RunFolder) -> None:
    """Two records in the ledger."""
    create_folder(run.ledger)
    versions = {"python": "3.11.7", "numpy": "2.3.5", "torch": "2.14.1"}
    for shard in (
        "evaluate-segnet-netslim-0-1-aaaaaaaaaaaa",
        "explain-segnet-netslim-0-1-0-bbbbbbbbbbbb",
    ):
        record = Record(shard, "a" * 64, {"segnet-netslim/depth/irof/c.0": ("f" * 64, 3)}, versions)
        _keep_record(run, record)


def write_true_run(run: RunFolder, **choice: Any) -> RunFolder:
    """As `write_run`, with the shards and records that a real run has: of every chunk its hash."""
    write_run(run, **choice)
    layouts = choice.get("layouts") or make_layouts()
    shards = tuple(_shard(experiment) for experiment in layouts)
    plan = dataclasses.replace(make_plan(layouts), shards=(*shards, reduction(shards)))
    freeze_plan(run, plan, previous=read_newest(run))
    remove_tree(run.ledger)
    create_folder(run.ledger)
    for shard, (experiment, layout) in zip(shards, layouts.items(), strict=True):
        files = _hash_chunks(run, experiment, layouts)
        shown = {name: files.pop(name) for name in list(files) if "/inputs/" in name}
        _keep_record(run, Record(shard.name, shard.identity, files, {}))
        _keep_record(run, Record(inputs_name(experiment, layout), layout.inputs, shown, {}))
    return run


def _shard(experiment: str) -> Shard:
    spec = {"stage": "explain", "experiment": experiment}
    identity = shard_identity(spec, {})
    name = f"explain-{experiment}-{identity[:12]}"
    return Shard(name, "explain", identity, False, (), {}, spec, {})


def _hash_chunks(
    run: RunFolder, experiment: str, layouts: Mapping[str, ExperimentLayout]
) -> dict[str, tuple[str, int]]:
    own = own_files(build_schema(layouts))
    paths = [path for path in sorted((run.store / experiment).rglob("*")) if path.is_file()]
    names = {path.relative_to(run.store).as_posix(): path for path in paths}
    return {
        name: (hash_file(path), path.stat().st_size)
        for name, path in names.items()
        if name not in own
    }


def _keep_record(run: RunFolder, record: Record) -> None:
    folder = create_folder(run.work / record.shard)
    write_record(folder, record)
    (folder / "record.json").replace(run.ledger / f"{record.shard}.json")


def write_store(run: RunFolder, layouts: Mapping[str, ExperimentLayout], arrays: Arrays) -> None:
    """A store in the published format, chunks encoded as a shard's are."""
    schema = build_schema(layouts)
    for node in schema.values():
        for array in node.arrays.values():
            folder = create_folder(run.store / node.path / array.name)
            if array.labels is not None:
                chunks = encode_labels(array)
            else:
                region = tuple(slice(0, length) for length in array.shape)
                values = arrays[node.path][array.name].astype(array.dtype)
                chunks = encode(array, region, values)
            for name, content in chunks.items():
                (folder / name).write_bytes(content)
    for name, document in documents(schema).items():
        (run.store / name).write_bytes(to_json(document))


def make_layouts() -> dict[str, ExperimentLayout]:
    """The layouts of both experiments."""
    return {
        "segnet-netslim": _layout("netslim", (0.0, 0.9, 0.5)),
        "segnet-hrank": _layout("hrank", (0.0, 0.5, 0.75)),
    }


def _layout(pruning: str, sparsities: tuple[float, ...]) -> ExperimentLayout:
    settings = {
        "experiment": {
            "name": f"segnet-{pruning}",
            "data": {"name": "rooms", "size": list(SIZE), "seed": 0},
            "model": {"name": "segnet_mtan", "width": 0.0625},
            "tasks": [{"name": task} for task in TASKS],
            "weighting": {"name": "equal"},
            "training": {"iterations": 400, "batch": 8, "learning_rate": 1e-4},
            "pruning": {"name": pruning},
            "explain": {
                "images": len(SUPERPIXEL_GRIDS),
                "saliency": {"name": "grad_cam", "layer": "last_shared"},
                "superpixels": {"name": "slic", "n_segments": 100, "compactness": 10.0},
                "faithfulness": {"name": "irof", "epsilon": 1e-6},
                "forward": {"precision": "float32", "folded": True},
            },
        },
        "numerics": {"threads": 1, "precision": "float32"},
        "data_sha256": "d" * 64,
        "depth_unit": "m",
        "depth_scale": 10.0,
    }
    return ExperimentLayout(
        sparsities=sparsities,
        seeds=(1, 0),
        images=tuple(f"test-{index:05d}" for index in range(len(SUPERPIXEL_GRIDS))),
        block=3,
        size=SIZE,
        cam_size=CAM_SIZE,
        segments_max=SEGMENTS_MAX,
        tasks=TASKS,
        layers=("encoder.0", "encoder.1"),
        maps="native",
        map_images=6,
        previews=2,
        inputs="5" * 64,
        settings=settings,
    )


def make_arrays(layouts: Mapping[str, ExperimentLayout]) -> Arrays:
    """Values of every array that is no coordinate: node -> name -> values."""
    arrays: Arrays = {}
    for number, (experiment, layout) in enumerate(layouts.items()):
        generator = np.random.default_rng(number)
        arrays[experiment] = _network_arrays(layout)
        arrays[f"{experiment}/inputs"] = _input_arrays(layout)
        for task in layout.tasks:
            arrays[f"{experiment}/{task}"] = _task_arrays(layout, task, generator)
    return arrays


def _network_arrays(layout: ExperimentLayout) -> dict[str, np.ndarray]:
    cells = np.ones((len(layout.sparsities), len(layout.seeds)))
    aimed = np.array(layout.sparsities)[:, None] * cells
    layers = np.repeat(aimed[..., None], len(layout.layers), axis=-1)
    return {
        "sparsity_parameters": aimed * 0.97,
        "sparsity_filters": aimed,
        "sparsity_macs": aimed * 0.9,
        "sparsity_weights": aimed * 0.98,
        "sparsity_shared": aimed * 0.95,
        "sparsity_branches": aimed * 0.99,
        "layer_sparsity": layers,
        "mask_agreement": np.where(layers > 0, 1 - layers, np.nan),
    }


def _input_arrays(layout: ExperimentLayout) -> dict[str, np.ndarray]:
    rows, columns = np.mgrid[: layout.size[0], : layout.size[1]]
    segments = np.stack(
        [
            (rows * high // layout.size[0]) * wide + columns * wide // layout.size[1]
            for high, wide in SUPERPIXEL_GRIDS
        ]
    )
    shades = [np.where(rows + 10 * index < 40, 200 - columns, 60 + 2 * columns) for index in (0, 1)]
    preview = np.stack(
        [np.stack([shade, shade // 2 + 60, 220 - shade // 2], -1) for shade in shades]
    )
    return {
        "segments": segments.astype("uint16"),
        "n_segments": np.array([high * wide for high, wide in SUPERPIXEL_GRIDS], "uint16"),
        "preview": preview.astype("uint8"),
    }


def _task_arrays(
    layout: ExperimentLayout, task: str, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    groups = layout.tasks[task].groups
    metrics = layout.tasks[task].metrics
    cells = (len(layout.sparsities), len(layout.seeds))
    items = (*cells, len(layout.images), len(groups))
    status = _statuses(items)
    ok = (status == 1)[..., None]
    segment = np.arange(layout.segments_max)
    exists = segment < _superpixels()[:, None, None]
    scores = np.sort(generator.random((*items, layout.segments_max)), axis=-1)[..., ::-1]
    lost = 0.5 * np.array(layout.sparsities)[:, None, None]
    constant = np.array([CONSTANT[metric] for metric in metrics])
    dense = np.array([DENSE[metric] for metric in metrics])
    noise = 1 + 0.02 * generator.standard_normal((*cells, len(metrics)))
    performance = (dense + lost * (constant - dense)) * noise
    by_image = 1 + 0.01 * np.arange(len(layout.images))
    return {
        "irof": np.where(ok, _curves(layout, items, generator), np.nan),
        "segment_score": np.where(ok & exists, scores, np.nan),
        "order": np.where(ok & exists, segment, 65535).astype("uint16"),
        "cam_max": np.where(ok[..., 0], PEAK, np.nan),
        "status": status,
        **_maps(layout, np.where(ok[..., None], PEAK * _blobs(items, generator), np.nan)),
        "performance": performance,
        "performance_image": performance[:, :, None] * by_image[:, None],
        "performance_constant": constant,
        **({"confusion": np.ones((*cells, len(groups), len(groups)))} if "miou" in metrics else {}),
    }


def _maps(layout: ExperimentLayout, cams: np.ndarray) -> dict[str, np.ndarray]:
    """Maps as the layout keeps them."""
    kept = {"native": {"cam": cams}, "subset": {"cam": cams[:, :, : layout.map_images]},
            "half": {"cam_half": cams / PEAK}, "scores": {}}  # fmt: skip
    return kept[layout.maps]


def _superpixels() -> np.ndarray:
    return np.array([high * wide for high, wide in SUPERPIXEL_GRIDS])


def _statuses(items: tuple[int, ...]) -> np.ndarray:
    """All ok, but a group missing in two images, a zero map and a clean score of zero."""
    status = np.ones(items, "uint8")
    status[:, :, 4:, 0] = 2
    status[1, -1, 0, 1] = 3
    status[1, 0, 2, 2] = 5
    return status


def _curves(
    layout: ExperimentLayout, items: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """Falling from 1, slower the sparser the network is; NaN after step L."""
    step = np.arange(layout.segments_max + 1)
    removed = step / _superpixels()[:, None, None]
    rate = (6 - 4 * np.array(layout.sparsities))[:, None, None, None, None]
    rate = rate * generator.uniform(0.7, 1.3, items)[..., None]
    curves = 0.15 + 0.85 * np.exp(-rate * removed)
    wobble = 0.02 * generator.standard_normal(curves.shape) * (step > 0)
    return np.where(removed <= 1, curves + wobble, np.nan)


def _blobs(items: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    row, column = (np.arange(edge) for edge in CAM_SIZE)
    centre = generator.uniform(3, 13, (2, *items, 1))
    down = np.exp(-((row - centre[0]) ** 2) / 12)
    right = np.exp(-((column - centre[1]) ** 2) / 12)
    return down[..., :, None] * right[..., None, :]
