"""From images to the arrays of their items: maps first, then the curves that judge them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mtljobs.contracts import Explained, Faithfulness, Saliency, Task
from mtljobs.explain.maps import are_one_map, divide_by_max, upsample

_log = logging.getLogger(__name__)

NO_SEGMENT = 65535
"""Fill of `order`."""

ItemArrays = dict[str, np.ndarray]
"""Arrays of one image and task, along `group` first, under their names in the store."""

ImageArrays = dict[str, ItemArrays]
"""Task -> its arrays of one image."""


class _Mapped(NamedTuple):
    """One image and task before anything is removed."""

    explained: Explained
    cams: Tensor
    peaks: Tensor


@dataclass(frozen=True)
class Explainer:
    """Explains images one by one, so that no image's result depends on its company.

    Attributes:
        model: In evaluation mode, without parameter gradients; makes maps and says which pixels
            are a group's.
        forward: The same network as curves are computed with.
        segments_max: Length of the store's `segment` axis.
    """

    model: Any
    forward: Callable[[Tensor, tuple[str, ...]], Mapping[str, Tensor]]
    tasks: Mapping[str, Task]
    saliency: Saliency
    faithfulness: Faithfulness
    segments_max: int
    device: torch.device

    def explain(self, images: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[ImageArrays]:
        """All items of each image, in order.

        Args:
            images: `channel row column` each, and the superpixel of each pixel; one is taken when
                the batches of a task need it.
        """
        with_one_map: Counter[str] = Counter()

        def mapped() -> Iterator[dict[str, _Mapped]]:
            for image, segments in images:
                found = self._map(image, segments)
                with_one_map.update(name for name, own in found.items() if are_one_map(own.cams))
                yield found

        # Each task fills batches of its own from the same images, about as far as the others.
        streams = zip(self.tasks, tee(mapped(), len(self.tasks)), strict=True)
        by_task = [self._judge(name, stream) for name, stream in streams]
        for arrays in zip(*by_task, strict=True):
            yield dict(zip(self.tasks, arrays, strict=True))
        for name, count in with_one_map.items():
            _log.warning(
                "all groups of %s have one map, up to a factor, in %d images: behind the explained "
                "layer everything is linear. An earlier layer tells them apart.", name, count
            )  # fmt: skip

    def _map(self, image: np.ndarray, segments: np.ndarray) -> dict[str, _Mapped]:
        images = torch.from_numpy(image)[None].to(self.device)
        with torch.no_grad():
            exact = self.model(images, tuple(self.tasks))
            clean = self.forward(images, tuple(self.tasks))
        masks = {name: task.group_masks(exact[name]) for name, task in self.tasks.items()}
        cams = self.saliency.maps(
            self.model, images, evidence=lambda inputs: self._evidence(inputs, masks)
        )
        mapped = {}
        for name in self.tasks:
            maps, peaks = divide_by_max(upsample(cams[name], (image.shape[-2], image.shape[-1])))
            explained = Explained(images[0], clean[name][0], masks[name][0], maps[0], segments)
            mapped[name] = _Mapped(explained, cams[name][0], peaks[0])
        return mapped

    def _evidence(self, images: Tensor, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        predictions = self.model(images, tuple(self.tasks))
        return {
            name: task.evidence(predictions[name], masks[name]) for name, task in self.tasks.items()
        }

    def _judge(self, name: str, images: Iterator[dict[str, _Mapped]]) -> Iterator[ItemArrays]:
        """The arrays of one task, image by image."""
        mapped, shown = tee(image[name] for image in images)
        found = self.faithfulness.curves(
            lambda images: self.forward(images, (name,))[name],
            self.tasks[name].score,
            (one.explained for one in shown),
        )
        for one, curves in zip(mapped, found, strict=True):
            yield {
                "irof": self._padded([c.scores for c in curves], self.segments_max + 1, np.nan),
                "segment_score": self._padded(
                    [c.segment_score for c in curves], self.segments_max, np.nan
                ),
                "order": self._padded([c.order for c in curves], self.segments_max, NO_SEGMENT),
                "status": np.array([c.status for c in curves], dtype=np.uint8),
                "cam": one.cams.cpu().numpy(),
                "cam_max": one.peaks.cpu().numpy(),
            }

    @staticmethod
    def _padded(rows: list[np.ndarray], length: int, fill: float) -> np.ndarray:
        padded = np.full((len(rows), length), fill, dtype=np.float64)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded
