"""Stage `explain`: maps and curves of one block of images of one cell, image by image."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mtljobs.contracts import STATUS
from mtljobs.errors import DataError, StopRequested
from mtljobs.ledger.records import require_intact
from mtljobs.settings import build
from mtljobs.settings.base import restore
from mtljobs.settings.explain import FaithfulnessChoice, Forward, SaliencyChoice
from mtljobs.stages.explainer import NO_SEGMENT, Explainer, ImageArrays
from mtljobs.stages.materials import (
    apply_numerics,
    open_dataset,
    open_info,
    open_network,
    open_tasks,
)
from mtljobs.stages.results import CellWriter
from mtljobs.stages.work import Work
from mtljobs.training.checkpoint import load_checkpoint, save_checkpoint

_log = logging.getLogger(__name__)

NOTHING = {
    "order": NO_SEGMENT,
    "status": next(code for code, text in STATUS.items() if text == "input unreadable"),
}
"""What stands for an image that cannot be read, where it is not NaN."""


def run(work: Work) -> None:
    """Write curves, orders, scores, maps and status of the shard's images.

    An image that cannot be read any more costs its own items alone, which get status 8.

    Raises:
        DataError: None of the images can be read.
    """
    spec = work.shard.spec
    found = _explain_images(work)
    readable = next((arrays for arrays in found if not isinstance(arrays, DataError)), None)
    if readable is None:
        raise DataError(f"none of the {len(found)} images of this shard can be read: {found[0]}")
    done: list[ImageArrays] = []
    for image_id, arrays in zip(spec["images"], found, strict=True):
        if isinstance(arrays, DataError):
            _log.warning("image %r gets the status 'input unreadable': %s", image_id, arrays)
            done.append(_nothing(readable))
        else:
            done.append(arrays)
    results = CellWriter(work)
    for task, own in readable.items():
        for name in own.keys() - {"cam"}:
            results.write_task(task, name, np.stack([image[task][name] for image in done]))
    _write_maps(results, done[: spec["map_images"]], kind=spec["maps"])


def _write_maps(results: CellWriter, images: list[ImageArrays], *, kind: str) -> None:
    """Write the maps of these images, as the setting `maps` says."""
    for task in images[0] if images else ():
        cams = np.stack([image[task]["cam"] for image in images])
        if kind == "half":
            # In shares: half precision ends at 65504, and maps come in units of logits.
            peaks = np.stack([image[task]["cam_max"] for image in images])[..., None, None]
            results.write_task(task, "cam_half", cams / np.where(peaks > 0, peaks, 1))
        else:
            results.write_task(task, "cam", cams)


def _explain_images(work: Work) -> list[ImageArrays | DataError]:
    """What was found on each image of the shard, or why it cannot be read.

    Raises:
        StopRequested: With what was finished in checkpoints, one per image.
    """
    images = work.shard.spec["images"]
    paths = [work.scratch / f"{index:05d}.bin" for index in range(len(images))]
    kept = {index: _read_checkpoint(path) for index, path in enumerate(paths)}
    found: dict[int, ImageArrays | DataError] = {
        index: arrays for index, arrays in kept.items() if arrays is not None
    }
    missing = [index for index in kept if index not in found]
    if missing:
        for index, arrays in _explain_missing(work, missing):
            if not isinstance(arrays, DataError):
                _write_checkpoint(paths[index], arrays)
            found[index] = arrays
            work.progress(len(found), len(images), "images")
            if work.stop():
                break  # the next image has a few rows at most in the batch that finished this one
    if left := [images[index] for index in missing if index not in found]:
        raise StopRequested(f"stopped before image {left[0]!r}")
    return [found[index] for index in range(len(images))]


def _explain_missing(
    work: Work, missing: list[int]
) -> Iterator[tuple[int, ImageArrays | DataError]]:
    """Explain images as long as no stop is asked for; one that was begun before is finished."""
    device = apply_numerics(work)
    info = open_info(work)
    dataset = open_dataset(work, info, "test")
    segments = _open_segments(work)
    explainer = open_explainer(work, device)
    begun: deque[int] = deque()
    unreadable: list[tuple[int, DataError]] = []

    def readable() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index in missing:
            if work.stop():
                return
            position = info.splits["test"].index(work.shard.spec["images"][index])
            try:
                image = dataset[position]["image"]
            except DataError as error:
                unreadable.append((index, error))
                continue
            begun.append(index)
            yield image, segments[position]

    for arrays in explainer.explain(readable()):
        yield begun.popleft(), arrays
    yield from unreadable


def open_explainer(work: Work, device: torch.device) -> Explainer:
    """The shard's network and methods."""
    spec = work.shard.spec
    tasks = open_tasks(work, open_info(work))
    model = open_network(work, "network", tasks, device).requires_grad_(False)
    example = torch.zeros(spec["irof_batch"], 3, *spec["data"]["size"], device=device)
    return Explainer(
        model=model,
        forward=build(
            restore(Forward, spec["forward"]), network=model, example=(example, tuple(tasks))
        ),
        tasks=tasks,
        saliency=build(restore(SaliencyChoice, spec["saliency"])),
        faithfulness=build(
            restore(FaithfulnessChoice, spec["faithfulness"]), batch=spec["irof_batch"]
        ),
        segments_max=spec["segments_max"],
        device=device,
    )


def _nothing(like: ImageArrays) -> ImageArrays:
    """The results of an image that cannot be read, in the shapes of another's."""
    return {
        task: {
            name: np.full_like(values, NOTHING.get(name, np.nan)) for name, values in own.items()
        }
        for task, own in like.items()
    }


def _open_segments(work: Work) -> np.ndarray:
    folder = work.workspace.inputs / work.shard.inputs["segments"]
    path = require_intact(folder, "segments.npy")
    segments: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return segments


def _write_checkpoint(path: Path, arrays: ImageArrays) -> None:
    tensors = {
        task: {name: torch.from_numpy(values) for name, values in own.items()}
        for task, own in arrays.items()
    }
    save_checkpoint(path, tensors)


def _read_checkpoint(path: Path) -> ImageArrays | None:
    """What an earlier attempt kept of one image; None where it kept nothing that is intact."""
    state = load_checkpoint(path)
    if state is None:
        return None
    return {
        task: {name: tensor.numpy() for name, tensor in own.items()} for task, own in state.items()
    }
