"""What the page's explorer holds of a run: chosen by rule, made small, packed as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.image import imsave

from mtljobs.contracts import STATUS
from mtljobs.report.drawing import shades
from mtljobs.results import aoc, mean_curve
from mtljobs.results.areas import removes_superpixels
from mtljobs.results.averages import OK
from mtljobs.results.maps import keeps_maps, kept_maps
from mtljobs.results.sheets import per_cent

IMAGES = 16
"""Images of an experiment at most."""

IMAGES_UNSEEN = 4
"""The same where the store keeps no pictures of them."""

PICTURE_SIZE = (480, 640)
MAP_SIZE = (72, 96)
"""Rows and columns at most; what is larger is averaged down."""

NO_NUMBER = 65535
"""Stands for NaN among 16-bit numbers."""


@dataclass(frozen=True)
class Exploration:
    """What the explorer is given.

    Attributes:
        data: JSON; arrays are little endian, in base64.
        held: Per experiment, how much of it is in `data`.
    """

    data: str
    held: Mapping[str, str]


def pack_run(run: xr.DataTree, *, limit: int) -> Exploration:
    """The items to explore, as many as fit.

    Images come in the order of the store, one of each experiment at a time, those of the first
    seed before those of the next; the first that does not fit ends it.

    Args:
        limit: Bytes that `data` may have.
    """
    experiments = {name: _describe_experiment(node) for name, node in run.children.items()}
    room = limit - len(_to_json(_whole(experiments)))
    for name, seed, image, picture, items in _one_by_one(run):
        pictures, seeds = experiments[name]["pictures"], experiments[name]["seeds"]
        addition = {image: items} if image in pictures else {image: items, "picture": picture}
        room -= len(_to_json(addition)) + len(image) + 32  # names, quotes and braces around them
        if room < 0:
            break
        pictures.setdefault(image, picture)
        seeds.setdefault(seed, {})[image] = items
    held = {name: _count(run.children[name], experiments[name]) for name in experiments}
    shown = {name: values for name, values in experiments.items() if values["seeds"]}
    return Exploration(_to_json(_whole(shown)), held)


def _whole(experiments: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is packed, with what no experiment can change.

    What users name comes in pairs, which keep the order of the store: a browser moves the keys of
    an object that look like numbers to its front.
    """
    scale = mpl.colormaps["inferno"](np.linspace(0.15, 0.95, 256), bytes=True)[:, :3]
    return {
        "experiments": [(name, _in_pairs(values)) for name, values in experiments.items()],
        "colours": _base64(scale),
        "statuses": STATUS,
        "ok": OK,
    }


def _in_pairs(experiment: Mapping[str, Any]) -> dict[str, Any]:
    seeds = [(seed, list(images.items())) for seed, images in experiment["seeds"].items()]
    return {**experiment, "seeds": seeds}


def _one_by_one(run: xr.DataTree) -> Iterator[tuple[str, str, str, Any, Any]]:
    """(Experiment, seed, image, picture, items by task) in the order in which they are taken."""
    seeds = max(node.sizes["seed"] for node in run.children.values())
    for seed in range(seeds):
        images = {
            name: _pack_images(node, seed)
            for name, node in run.children.items()
            if seed < node.sizes["seed"]
        }
        for _ in range(IMAGES):
            for name, packed in images.items():
                if (image := next(packed, None)) is not None:
                    yield name, str(run.children[name].to_dataset()["seed"].values[seed]), *image


def _describe_experiment(node: xr.DataTree) -> dict[str, Any]:
    tasks = _tasks(node)
    first = next(iter(tasks.values()))
    settings = json.loads(node.attrs["settings"])["experiment"]["explain"]["faithfulness"]
    sparsities = node.to_dataset()["sparsity"].values
    return {
        "fill": settings.get("fill", "drifting") if removes_superpixels(first) else None,
        "sparsities": [per_cent(sparsity) for sparsity in sparsities],
        "colours": shades(len(sparsities)),
        "groups": {name: list(map(str, task["group"].values)) for name, task in tasks.items()},
        "means": {name: _mean_curves(task) for name, task in tasks.items()},
        "pictures": {},
        "seeds": {},
    }


def _mean_curves(task: xr.Dataset) -> list[list[float] | None]:
    """Per sparsity the curve of the mean item at equal shares of the steps."""
    curves = mean_curve(task).transpose("sparsity", "removed").values
    return [None if np.isnan(curve).any() else curve.round(4).tolist() for curve in curves]


def _pack_images(node: xr.DataTree, seed: int) -> Iterator[tuple[str, Any, Any]]:
    """(Image, picture, items by task) of one seed; images without any curve are passed over."""
    inputs = node["inputs"].to_dataset()
    count = min(IMAGES, inputs.sizes.get("preview_image", IMAGES_UNSEEN), inputs.sizes["image"])
    shown = {"image": slice(count), "preview_image": slice(count)}
    inputs = inputs.isel(shown, missing_dims="ignore").load()
    tasks = {
        name: _shrink(task.isel(seed=seed, image=slice(count)))
        for name, task in _tasks(node).items()
    }
    for image in range(count):
        here = inputs.isel(image=image)
        items = {
            name: packed
            for name, task in tasks.items()
            if (packed := _pack_items(task.isel(image=image), int(here["n_segments"])))
        }
        if items:
            preview = inputs["preview"][image].values if "preview" in inputs else None
            yield str(here["image"].item()), _pack_picture(here, preview), items


def _tasks(node: xr.DataTree) -> dict[str, xr.Dataset]:
    return {name: node[name].to_dataset() for name in node.attrs["tasks"].split()}


def _shrink(task: xr.Dataset) -> xr.Dataset:
    """Items in memory, their maps as shares of 255 and no larger than shown."""
    kept = task[["irof", "order", "status"]].load()
    kept = kept.assign(aoc=aoc(kept))
    if keeps_maps(task):
        # Maps are large: those of one network at a time.
        maps = [
            _shrink_maps(kept_maps(task.isel(sparsity=at)).values)
            for at in range(len(task.sparsity))
        ]
        axes = ("sparsity", "image", "group", "map_row", "map_column")
        return kept.assign(map=(axes, np.stack(maps)))
    if removes_superpixels(task):
        scores = task["segment_score"]
        return kept.assign(scores=(scores.dims, _to_bytes(scores.values, 1)))
    return kept


def _shrink_maps(maps: np.ndarray) -> np.ndarray:
    rows, columns = MAP_SIZE
    return _to_bytes(_average_down(_average_down(maps, -2, rows), -1, columns), 2)


def _pack_items(items: xr.Dataset, length: int) -> dict[str, Any] | None:
    """One image's items of one task, of the groups that have a curve at any sparsity."""
    with_curve = np.flatnonzero((items["status"].values == OK).any(axis=0))
    if not with_curve.size:
        return None
    items = items.isel(group=with_curve, step=slice(length + 1), segment=slice(length))
    curves = items["irof"].values
    low, high = float(np.nanmin(curves)), float(np.nanmax(curves))
    steps = np.round((curves - low) / max(high - low, 1e-6) * (NO_NUMBER - 1))
    packed = {
        "groups": with_curve.tolist(),
        "status": items["status"].values.tolist(),
        "aoc": [[_rounded(value) for value in row] for row in items["aoc"].values],
        "low": low,
        "high": high,
        "curves": _base64(np.where(np.isnan(steps), NO_NUMBER, steps).astype("<u2")),
        "order": _base64(items["order"].values.astype("<u2")),
    }
    if "map" in items:
        packed["map"] = _base64(items["map"].values)
        packed["mapSize"] = [items.sizes["map_row"], items.sizes["map_column"]]
    if "scores" in items:
        packed["scores"] = _base64(items["scores"].values)
    return packed


def _pack_picture(inputs: xr.Dataset, preview: np.ndarray | None) -> dict[str, Any]:
    """An image and its superpixels, both no larger than `PICTURE_SIZE`."""
    segments = inputs["segments"].values
    rows, columns = (min(*lengths) for lengths in zip(segments.shape, PICTURE_SIZE, strict=True))
    centres = [
        (2 * np.arange(count) + 1) * full // (2 * count)
        for count, full in zip((rows, columns), segments.shape, strict=True)
    ]
    picture = {
        "rows": rows,
        "columns": columns,
        "parts": int(inputs["n_segments"]),
        "runs": _base64(_run_lengths(segments[np.ix_(*centres)])),
    }
    if preview is not None:
        pixels = _average_down(_average_down(preview.astype(float), 0, rows), 1, columns)
        picture["jpeg"] = base64.b64encode(_jpeg(pixels)).decode()
    return picture


def _run_lengths(labels: np.ndarray) -> np.ndarray:
    """(Label, length) of every run of equal labels, row by row; no run leaves its row.

    Example:
        >>> _run_lengths(np.array([[7, 7, 2], [2, 2, 2]])).tolist()
        [[7, 2], [2, 1], [2, 3]]
    """
    begins = np.ones(labels.shape, dtype=bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=labels.size)
    return np.stack([labels.ravel()[starts], lengths], axis=1).astype("<u2")


def _average_down(values: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Values with an axis no longer than `length`, each the mean of its share of the longer one.

    Example:
        >>> _average_down(np.array([1.0, 3.0, 5.0, 9.0]), 0, 2).tolist()
        [2.0, 7.0]
    """
    full = values.shape[axis]
    if full <= length:
        return values
    starts = np.arange(length) * full // length
    counts = np.diff(starts, append=full)
    sums = np.moveaxis(np.add.reduceat(values, starts, axis=axis), axis, -1)
    return np.moveaxis(sums / counts, -1, axis)


def _to_bytes(values: np.ndarray, axes: int) -> np.ndarray:
    """Values as shares of their maximum over the last axes, 0 to 255; 0 where they are none."""
    finite = np.where(np.isfinite(values), values, 0)
    peak = finite.max(axis=tuple(range(-axes, 0)), keepdims=True)
    shares = np.divide(finite, peak, out=np.zeros_like(finite), where=peak > 0)
    return np.asarray(np.round(255 * np.clip(shares, 0, 1)).astype("u1"))


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    imsave(buffer, pixels.round().astype("u1"), format="jpeg", pil_kwargs={"quality": 88})
    return buffer.getvalue()


def _count(node: xr.DataTree, packed: Mapping[str, Any]) -> str:
    """How much of an experiment was packed."""
    total = node.sizes["image"]
    counts = {
        seed: len(packed["seeds"].get(str(seed), ())) for seed in node.to_dataset()["seed"].values
    }
    return ", ".join(
        f"{count} of {total} images with seed {seed}" for seed, count in counts.items()
    )


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _to_json(values: Any) -> str:
    """JSON in ASCII that may stand inside a `script` element: it cannot end it."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
