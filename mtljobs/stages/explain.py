"""Stage `explain`: maps and curves of one block of images of one cell, image by image."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mtljobs.contracts import STATUS, Faithfulness, Saliency, Task
from mtljobs.errors import DataError, StopRequested
from mtljobs.explain.maps import divide_by_max, upsample
from mtljobs.ledger.records import require_intact
from mtljobs.settings import build
from mtljobs.settings.base import restore
from mtljobs.settings.explain import FaithfulnessChoice, SaliencyChoice
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

ItemArrays = dict[str, np.ndarray]
"""Arrays of one image and task, along `group` first, under their names in the store."""

ImageArrays = dict[str, ItemArrays]
"""Task -> its arrays of one image."""


NOTHING = {"order": 65535, "status": next(k for k, v in STATUS.items() if v == "input unreadable")}
"""What stands for an image that cannot be read, where it is not NaN."""


def run(work: Work) -> None:
    """Write curves, orders, scores, maps and status of the shard's images.

    An image that cannot be read any more costs its own items alone, which get status 8.

    Raises:
        DataError: None of the images can be read.
    """
    spec = work.shard.spec
    found = list(_explain_images(work))
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
        for name in own:
            if name != "cam" or spec["maps"] == "native":
                results.write_task(task, name, np.stack([image[task][name] for image in done]))


def _explain_images(work: Work) -> Iterator[ImageArrays | DataError]:
    """What was found on each image of the shard in order, or why it cannot be read."""
    spec = work.shard.spec
    device = apply_numerics(work)
    info = open_info(work)
    tasks = open_tasks(work, info)
    explainer = Explainer(
        model=open_network(work, "network", tasks, device).requires_grad_(False),
        tasks=tasks,
        saliency=build(restore(SaliencyChoice, spec["saliency"])),
        faithfulness=build(
            restore(FaithfulnessChoice, spec["faithfulness"]), batch=spec["irof_batch"]
        ),
        segments_max=spec["segments_max"],
        device=device,
    )
    dataset = open_dataset(work, info, "test")
    segments = _open_segments(work)
    for index, image_id in enumerate(spec["images"]):
        checkpoint = work.scratch / f"{index:05d}.bin"
        arrays = _read_checkpoint(checkpoint)
        if arrays is None:
            if work.stop():
                raise StopRequested(f"stopped before image {image_id!r}")
            position = info.splits["test"].index(image_id)
            try:
                image = dataset[position]["image"]
            except DataError as error:
                yield error
                continue
            arrays = explainer.explain(image, segments[position])
            _write_checkpoint(checkpoint, arrays)
        yield arrays
        work.progress(index + 1, len(spec["images"]), "images")


def _nothing(like: ImageArrays) -> ImageArrays:
    """The results of an image that cannot be read, in the shapes of another's."""
    return {
        task: {
            name: np.full_like(values, NOTHING.get(name, np.nan)) for name, values in own.items()
        }
        for task, own in like.items()
    }


@dataclasses.dataclass(frozen=True)
class Explainer:
    """Explains single images, so that no image's result depends on its company.

    Attributes:
        model: In evaluation mode, without parameter gradients.
        segments_max: Length of the store's `segment` axis.
    """

    model: Any
    tasks: Mapping[str, Task]
    saliency: Saliency
    faithfulness: Faithfulness
    segments_max: int
    device: torch.device

    def explain(self, image: np.ndarray, segments: np.ndarray) -> ImageArrays:
        """All items of one image.

        Args:
            image: `channel row column`.
            segments: Superpixel of each pixel.
        """
        images = torch.from_numpy(image)[None].to(self.device)
        with torch.no_grad():
            clean = self.model(images, tuple(self.tasks))
        masks = {name: task.group_masks(clean[name]) for name, task in self.tasks.items()}
        cams = self.saliency.maps(
            self.model, images, evidence=lambda inputs: self._evidence(inputs, masks)
        )
        return {
            name: self._judge(
                name,
                image=images[0],
                clean=clean[name][0],
                masks=masks[name][0],
                cams=cams[name],
                segments=segments,
            )
            for name in self.tasks
        }

    def _evidence(self, images: Tensor, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        predictions = self.model(images, tuple(self.tasks))
        return {
            name: task.evidence(predictions[name], masks[name]) for name, task in self.tasks.items()
        }

    def _judge(
        self,
        name: str,
        *,
        image: Tensor,
        clean: Tensor,
        masks: Tensor,
        cams: Tensor,
        segments: np.ndarray,
    ) -> ItemArrays:
        maps, peaks = divide_by_max(upsample(cams, (image.shape[-2], image.shape[-1])))
        curves = self.faithfulness.curves(
            lambda images: cast("Tensor", self.model(images, (name,))[name]),
            self.tasks[name].score,
            image=image,
            clean=clean,
            masks=masks,
            maps=maps[0],
            segments=segments,
        )
        return {
            "irof": self._padded([curve.scores for curve in curves], self.segments_max + 1, np.nan),
            "segment_score": self._padded(
                [curve.segment_score for curve in curves], self.segments_max, np.nan
            ),
            "order": self._padded([curve.order for curve in curves], self.segments_max, 65535),
            "status": np.array([curve.status for curve in curves], dtype=np.uint8),
            "cam": cams[0].cpu().numpy(),
            "cam_max": peaks[0].cpu().numpy(),
        }

    @staticmethod
    def _padded(rows: list[np.ndarray], length: int, fill: float) -> np.ndarray:
        padded = np.full((len(rows), length), fill, dtype=np.float64)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded


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
