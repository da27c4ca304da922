"""Segmentation: a class per pixel, explained by the logits of the pixels predicted as a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import DataError

VOID = -1
"""Label of pixels that count nowhere."""


class Segmentation:
    """Classes of a data set; predictions are logits.

    Source: Loss and metrics of Liu et al. (arXiv:1803.10704); groups and evidence of Vinogradova
        et al. (arXiv:2002.11434). Departure: a class that is neither shown nor predicted is left
        out of the mIoU, where MTAN's code gets NaN.
    """

    name = "segmentation"

    def __init__(self, *, info: DatasetInfo) -> None:
        self.channels = len(info.class_names)

    def loss(
        self,
        prediction: Float[Tensor, "image channel row column"],
        target: Int[Tensor, "image row column"],
    ) -> Float[Tensor, ""]:
        """Cross entropy, averaged over the batch's pixels that are not void."""
        # Per pixel, and then added up: the sum that torch's CUDA kernel makes is atomic, in any
        # order, so that it refuses to run under `use_deterministic_algorithms`.
        losses = functional.cross_entropy(prediction, target, ignore_index=VOID, reduction="none")
        return losses.sum() / (target != VOID).sum().clamp(min=1)

    def meter(self) -> ConfusionMeter:
        """A new, empty meter."""
        return ConfusionMeter(self.channels)

    def constant(self, targets: Iterable[Tensor]) -> Float[Tensor, "channel"]:
        """Logits of the most frequent class: 1 for it, 0 for the others.

        Raises:
            DataError: No pixel has a label.
        """
        counts = torch.zeros(self.channels, dtype=torch.int64)
        for target in targets:
            counts += torch.bincount(target[target != VOID], minlength=self.channels).cpu()
        if not counts.any():
            raise DataError(
                "Every pixel of the training split is void (-1), so no class is most frequent; "
                "check the ignore label in the data set's description."
            )
        return functional.one_hot(counts.argmax(), self.channels).float()

    def group_masks(
        self, prediction: Float[Tensor, "image channel row column"]
    ) -> Bool[Tensor, "image group row column"]:
        """The pixels predicted as each class."""
        classes = torch.arange(self.channels, device=prediction.device)
        return prediction.argmax(dim=1, keepdim=True) == classes[:, None, None]

    def evidence(
        self,
        prediction: Float[Tensor, "image channel row column"],
        masks: Bool[Tensor, "image group row column"],
    ) -> Float[Tensor, "image group"]:
        """Sum of a class's logits over its pixels."""
        return (prediction * masks).sum(dim=(-2, -1))

    def score(
        self,
        prediction: Float[Tensor, "item channel row column"],
        *,
        clean: Float[Tensor, "item channel row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        """Mean logit of the item's class over its pixels; the clean prediction plays no part."""
        item = torch.arange(len(group), device=group.device)
        return (prediction[item, group] * mask).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))


class ConfusionMeter:
    """Which class was predicted where which was true, over all pixels shown.

    Counted here, not by torchmetrics, which in torch's deterministic mode takes
    pixels * classes**2 integers of memory.
    """

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((classes, classes), dtype=np.int64)

    def update(
        self,
        prediction: Float[Tensor, "image channel row column"],
        target: Int[Tensor, "image row column"],
    ) -> None:
        """Count a batch's pixels that are not void."""
        known = target != VOID
        cells = target[known] * len(self._counts) + prediction.argmax(dim=1)[known]
        counted = torch.bincount(cells, minlength=self._counts.size).cpu().numpy()
        self._counts += counted.reshape(self._counts.shape)

    def compute(self) -> Mapping[str, float]:
        """Mean intersection over union of the classes seen, and share of pixels that are right."""
        if not self._counts.any():
            return {"miou": float("nan"), "pixel_accuracy": float("nan")}
        right = np.diagonal(self._counts)
        union = self._counts.sum(axis=0) + self._counts.sum(axis=1) - right
        seen = union > 0
        return {
            "miou": float(np.mean(right[seen] / union[seen])),
            "pixel_accuracy": float(right.sum() / self._counts.sum()),
        }

    def arrays(self) -> Mapping[str, np.ndarray]:
        """`confusion`: pixels by true class and predicted class."""
        return {"confusion": self._counts.copy()}
