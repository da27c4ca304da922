"""Stage `evaluate`: what a cell's network can do, how small it is, and what a constant can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from mtljobs.contracts import Batch, Dataset, DatasetInfo, Meter, Task
from mtljobs.errors import StopRequested
from mtljobs.models.complexity import count, layer_weights
from mtljobs.pruning.masks import agreements, owner
from mtljobs.settings import build
from mtljobs.stages.materials import (
    apply_numerics,
    open_dataset,
    open_info,
    open_model_choice,
    open_network,
    open_tasks,
)
from mtljobs.stages.results import CellWriter
from mtljobs.stages.work import Work
from mtljobs.training.resolution import resize_nearest

BATCH = 8
"""Images per forward pass; the last batch is filled up with its last image."""


def run(work: Work) -> None:
    """Write the cell's performance and sparsities; cell (0, 0) also the constant predictor's."""
    device = apply_numerics(work)
    info = open_info(work)
    tasks = open_tasks(work, info)
    model = open_network(work, "network", tasks, device)
    dataset = open_dataset(work, info, "test")
    results = CellWriter(work)
    explained = {image: index for index, image in enumerate(work.shard.spec["images"])}
    pooled = {name: task.meter() for name, task in tasks.items()}
    single = {name: [task.meter() for _ in explained] for name, task in tasks.items()}
    for start, batch in _batches(work, dataset, device):
        predictions = _predict(model, batch["image"], tuple(tasks))
        for name, meter in pooled.items():
            meter.update(predictions[name], batch[name])
        for offset in range(len(batch["image"])):
            index = explained.get(info.splits["test"][start + offset])
            if index is None:
                continue
            for name, meters in single.items():
                here = slice(offset, offset + 1)
                meters[index].update(predictions[name][here], batch[name][here])
    for name, meter in pooled.items():
        results.write_task(name, "performance", _values(meter))
        results.write_task(name, "performance_image", np.stack([_values(m) for m in single[name]]))
        for array, values in meter.arrays().items():
            results.write_task(name, array, values)
    _write_sparsities(work, results, model, tasks)
    if results.owns_constants:
        for name, values in _constant_performance(work, info, tasks, dataset, device).items():
            results.write_task(name, "performance_constant", values)


def _batches(work: Work, dataset: Dataset, device: torch.device) -> Iterator[tuple[int, Batch]]:
    """Batches of the split in order, each with the position of its first image."""
    for start in range(0, len(dataset), BATCH):
        if work.stop():
            raise StopRequested("stopped while evaluating; the evaluation starts over")
        positions = range(start, min(start + BATCH, len(dataset)))
        batch = default_collate([dict(dataset[position]) for position in positions])
        yield start, {name: value.to(device) for name, value in batch.items()}
        work.progress(positions.stop, len(dataset), "images")


def _predict(model: Any, images: Tensor, tasks: tuple[str, ...]) -> dict[str, Tensor]:
    """Predictions at the images' size.

    From a batch of the full size, so that no image's bits depend on its place.
    """
    count, _, rows, columns = images.shape
    padding = images[-1:].expand(BATCH - count, -1, -1, -1)
    with torch.inference_mode():
        predictions = model(torch.cat([images, padding]), tasks)
    return {
        name: resize_nearest(values[:count], (rows, columns))
        for name, values in predictions.items()
    }


def _values(meter: Meter) -> np.ndarray:
    return np.array(list(meter.compute().values()), dtype=np.float64)


def _write_sparsities(
    work: Work, results: CellWriter, model: nn.Module, tasks: Mapping[str, Task]
) -> None:
    channels = {name: task.channels for name, task in tasks.items()}
    dense = build(open_model_choice(work), channels=channels, widths=None)
    size = tuple(work.shard.spec["data"]["size"])
    for array, values in sparsities(model, dense, size=size, tasks=tuple(tasks)).items():
        results.write_experiment(array, values)


def sparsities(
    model: nn.Module, dense: nn.Module, *, size: tuple[int, int], tasks: Sequence[str]
) -> dict[str, np.ndarray]:
    """What is gone of a network, as the store's arrays of the experiment's node.

    Args:
        dense: The unpruned network of the same settings.
        size: (rows, columns) of the images.
    """
    before, after = (count(network, size=size, tasks=tasks) for network in (dense, model))
    found = {
        f"sparsity_{measure}": 1 - getattr(after, measure) / getattr(before, measure)
        for measure in ("parameters", "filters", "macs")
    }
    old, new = layer_weights(dense), layer_weights(model)
    shared = {name for name in old if owner(name) is None}
    parts = {"weights": old.keys(), "shared": shared, "branches": old.keys() - shared}
    for part, layers in parts.items():
        kept = sum(new[name] for name in layers) / sum(old[name] for name in layers)
        found[f"sparsity_{part}"] = 1 - kept
    agreed = agreements(model)
    by_layer = {
        "layer_sparsity": [1 - new[name] / old[name] for name in old],
        "mask_agreement": [agreed[name] for name in old],
    }
    return {name: np.array(value) for name, value in (found | by_layer).items()}


def _constant_performance(
    work: Work,
    info: DatasetInfo,
    tasks: Mapping[str, Task],
    dataset: Dataset,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """Metrics on the test split of the best prediction that ignores the image."""
    training = open_dataset(work, info, "train")
    constants = {
        name: task.constant(
            torch.as_tensor(training[index][name]) for index in range(len(training))
        )
        for name, task in tasks.items()
    }
    meters = {name: task.meter() for name, task in tasks.items()}
    for _, batch in _batches(work, dataset, device):
        for name, meter in meters.items():
            meter.update(_everywhere(constants[name], batch["image"]), batch[name])
    return {name: _values(meter) for name, meter in meters.items()}


def _everywhere(constant: Tensor, images: Tensor) -> Tensor:
    """The same prediction at every pixel of every image."""
    count, _, rows, columns = images.shape
    return constant.to(images.device)[None, :, None, None].expand(count, -1, rows, columns)
