"""IROF: does a score fall when the superpixels that a map calls important are greyed out?

All perturbed images of an item exist at once: how the grey drifts from step to step follows from
the pixel counts and sums of the superpixels, so that no step has to wait for the one before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Integer, UInt8
from torch import Tensor

from mtljobs.contracts import STATUS, Curve, Score

_CODE = {text: code for code, text in STATUS.items()}
_OK = _CODE["ok"]


class IROF:
    """Curves of one image's groups, most salient superpixel first.

    Args:
        epsilon: A clean score at or below it gives no curve.
        batch: Images in every call of the network, no more and no fewer.

    Source: Rieger & Hansen (arXiv:2003.08747); order and fill as in Quantus 0.5.3: by mean
        saliency, and one grey value, the mean over channels and pixels of the image as it is at
        that step. Departures: step 0 is kept; superpixels that tie go in the order of their labels.
    """

    def __init__(self, *, epsilon: float, batch: int) -> None:
        self._epsilon = epsilon
        self._batch = batch

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        *,
        image: Float[Tensor, "channel row column"],
        clean: Float[Tensor, "output out_row out_column"],
        masks: Bool[Tensor, "group out_row out_column"],
        maps: Float[Tensor, "group row column"],
        segments: Integer[np.ndarray, "row column"],
    ) -> list[Curve]:
        """One curve per group.

        An item that can have no curve says why in its status and leaves the others alone. Every
        call of `predict` has the same shape, so that a curve's bits do not depend on the other
        groups, as long as the network computes each image of a batch alike.
        """
        saliency = segment_means(maps.cpu().numpy(), segments)
        orders = np.argsort(-saliency, axis=1, kind="stable")
        removal = Removal.plan(image, segments=segments, orders=orders)
        same = clean.expand(self._batch, *clean.shape)

        def rate_clean(groups: Tensor, _steps: Tensor) -> Tensor:
            return score(same, clean=same, mask=masks[groups], group=groups)

        def rate_removed(groups: Tensor, steps: Tensor) -> Tensor:
            prediction = predict(removal.images(groups=groups, steps=steps))
            return score(prediction, clean=same, mask=masks[groups], group=groups)

        n_segments = saliency.shape[1]
        status = _unfit(clean=clean, masks=masks, maps=maps, n_segments=n_segments)
        scores = np.full((len(saliency), n_segments + 1), np.nan)
        # Step 0 first: an item that fails there costs no forward pass.
        for steps, rate in ((range(1), rate_clean), (range(1, n_segments + 1), rate_removed)):
            fit = np.flatnonzero(status == _OK)
            found = self._rate(rate, fit, steps, device=image.device)
            scores[fit, steps.start : steps.stop] = found
            status[fit] = self._judge(scores[fit, : steps.stop])
        items = zip(scores, orders, saliency, status.tolist(), strict=True)
        return [_curve(*item) for item in items]

    def _rate(
        self,
        rate: Callable[[Tensor, Tensor], Float[Tensor, "batch"]],
        groups: Int[np.ndarray, "group"],
        steps: range,
        *,
        device: torch.device,
    ) -> Float64[np.ndarray, "group step"]:
        """Scores of every group at every step, in full batches; the last repeats its last item."""
        if not len(groups):
            return np.empty((0, len(steps)))
        items = torch.cartesian_prod(torch.as_tensor(groups), torch.tensor(steps)).to(device)
        padding = items[-1:].expand(-len(items) % self._batch, -1)
        batches = torch.cat([items, padding]).reshape(-1, self._batch, 2)
        with torch.inference_mode():
            scores = torch.cat([rate(batch[:, 0], batch[:, 1]) for batch in batches])
        found = scores[: len(items)].double().cpu().numpy()
        return found.reshape(len(groups), len(steps))

    def _judge(self, scores: Float64[np.ndarray, "group step"]) -> UInt8[np.ndarray, "group"]:
        """Status of items by their scores from step 0 on."""
        finite = np.isfinite(scores).all(axis=1)
        low = scores[:, 0] <= self._epsilon
        codes = [_CODE["output not finite"], _CODE["clean score <= eps"]]
        return np.select([~finite, low], codes, default=_OK).astype(np.uint8)


@dataclass(frozen=True)
class Removal:
    """Which grey each superpixel of an image turns into, and when, for every group.

    Attributes:
        image: As the network saw it.
        segments: Superpixel of each pixel.
        ranks: How many superpixels go before this one.
        greys: What this one is replaced with.
    """

    image: Float[Tensor, "channel row column"]
    segments: Int[Tensor, "row column"]
    ranks: Int[Tensor, "group segment"]
    greys: Float[Tensor, "group segment"]

    @classmethod
    def plan(
        cls,
        image: Float[Tensor, "channel row column"],
        *,
        segments: Integer[np.ndarray, "row column"],
        orders: Int[np.ndarray, "group step"],
    ) -> Removal:
        """The removal of an image's superpixels in the order of each group."""
        ranks = np.argsort(orders, axis=1)
        greys = drifting_greys(image.cpu().numpy(), segments=segments, orders=orders)
        by_segment = np.take_along_axis(greys, ranks, axis=1)
        return cls(
            image=image,
            segments=torch.as_tensor(segments.astype(np.int64), device=image.device),
            ranks=torch.as_tensor(ranks, device=image.device),
            greys=torch.as_tensor(by_segment, dtype=image.dtype, device=image.device),
        )

    def images(
        self, *, groups: Int[Tensor, "item"], steps: Int[Tensor, "item"]
    ) -> Float[Tensor, "item channel row column"]:
        """The image without the first `steps` superpixels of each item's group."""
        removed = self.ranks[groups] < steps[:, None]
        removed_pixels = removed[:, self.segments].unsqueeze(1)
        grey_pixels = self.greys[groups][:, self.segments].unsqueeze(1)
        return torch.where(removed_pixels, grey_pixels, self.image)


def segment_means(
    maps: Float[np.ndarray, "group row column"], segments: Integer[np.ndarray, "row column"]
) -> Float64[np.ndarray, "group segment"]:
    """Mean of each map over each superpixel.

    Raises:
        ValueError: The superpixels are not numbered 0 to L - 1 without gaps.

    Example:
        >>> segment_means(np.array([[[1.0, 2.0, 6.0]]]), np.array([[1, 0, 0]])).tolist()
        [[4.0, 1.0]]
    """
    labels = segments.ravel()
    pixels = np.bincount(labels)
    if not pixels.all():
        raise ValueError(
            f"Superpixels are numbered from 0 without gaps; received labels up to {labels.max()} "
            f"without {np.flatnonzero(pixels == 0).tolist()}. Number them anew, for instance "
            "with np.unique(segments, return_inverse=True)."
        )
    sums = [np.bincount(labels, weights=values.ravel()) for values in maps]
    return np.stack(sums) / pixels


def drifting_greys(
    image: Float[np.ndarray, "channel row column"],
    *,
    segments: Integer[np.ndarray, "row column"],
    orders: Int[np.ndarray, "group step"],
) -> Float64[np.ndarray, "group step"]:
    """The grey that each step fills in: the mean of the image with all earlier greys in place.

    Example:
        >>> image, segments = np.array([[[0.0, 2.0, 4.0]]]), np.array([[0, 1, 2]])
        >>> drifting_greys(image, segments=segments, orders=np.array([[2, 0, 1]])).tolist()[0][:2]
        [2.0, 1.3333333333333333]
    """
    labels = segments.ravel()
    values = np.bincount(labels) * image.shape[0]
    sums = np.bincount(labels, weights=image.sum(axis=0, dtype=np.float64).ravel())
    total = np.full(len(orders), sums.sum())
    greys = np.empty(orders.shape)
    for step, segment in enumerate(orders.T):
        greys[:, step] = total / image.size
        total += values[segment] * greys[:, step] - sums[segment]
    return greys


def _unfit(
    *,
    clean: Float[Tensor, "output out_row out_column"],
    masks: Bool[Tensor, "group out_row out_column"],
    maps: Float[Tensor, "group row column"],
    n_segments: int,
) -> UInt8[np.ndarray, "group"]:
    """Status of items before anything is removed."""
    shape = len(maps)
    faults = {
        # First: groups are read off the clean prediction.
        "output not finite": np.full(shape, not clean.isfinite().all().item()),
        "group empty": ~masks.flatten(1).any(dim=1).cpu().numpy(),
        "map not finite": ~maps.isfinite().flatten(1).all(dim=1).cpu().numpy(),
        "map all zero": ~maps.flatten(1).any(dim=1).cpu().numpy(),
        "one superpixel": np.full(shape, n_segments == 1),
    }
    codes = [_CODE[fault] for fault in faults]
    return np.select(list(faults.values()), codes, default=_OK).astype(np.uint8)


def _curve(
    scores: Float64[np.ndarray, "step"],
    order: Int[np.ndarray, "segment"],
    saliency: Float64[np.ndarray, "segment"],
    status: int,
) -> Curve:
    relative = scores / scores[0] if status == _OK else np.full_like(scores, np.nan)
    return Curve(scores=relative, order=order, segment_score=saliency, status=status)
