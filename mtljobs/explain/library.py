"""Grad-CAM and IROF on any torch model: no grid, no store, no cluster.

Everything here may be imported from `mtljobs.explain`; docs/explain.md shows it at work.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.explain.grad_cam import GradCAM
from mtljobs.explain.guards import CODE, OK
from mtljobs.explain.irof import IROF
from mtljobs.explain.maps import are_one_map, divide_by_max, upsample
from mtljobs.explain.superpixels import SLIC

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Integer, UInt8

UNREADABLE = CODE["input unreadable"]


@dataclass(frozen=True)
class Curves:
    """Curves of many images and groups, padded to the longest.

    Attributes:
        scores: Step 0 to L in shares of the clean score; NaN beyond L, and where `status` is not 1.
        order: Superpixel that each step takes away; -1 beyond L.
        segment_scores: Mean saliency of each superpixel; NaN beyond L.
        status: 1 where there is a curve, else the code in `mtljobs.contracts.STATUS` that says why
            there is none.
        n_segments: L, the number of superpixels; 0 where an image is not finite.
    """

    scores: Float64[np.ndarray, "image group step"]
    order: Int[np.ndarray, "image group segment"]
    segment_scores: Float64[np.ndarray, "image group segment"]
    status: UInt8[np.ndarray, "image group"]
    n_segments: Int[np.ndarray, "image"]

    def aoc(self) -> Float64[np.ndarray, "image group"]:
        """Area over each curve on steps 0 to L, divided by L; NaN where there is no curve."""
        between = (self.scores[..., 1:] + self.scores[..., :-1]) / 2
        under = np.nansum(between, axis=-1) / np.maximum(self.n_segments, 1)[:, None]
        areas: Float64[np.ndarray, "image group"] = np.where(self.status == OK, 1 - under, np.nan)
        return areas

    def quantus(self) -> Float64[np.ndarray, "image group"]:
        """Quantus's number: its curve has no step 0, and it does not divide by L."""
        number: Float64[np.ndarray, "image group"] = (
            self.n_segments[:, None] * self.aoc() + (1 + self.scores[..., 1]) / 2
        )
        return number


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "image channel row column"],
    *,
    layer: str,
    evidence: Callable[..., Float[Tensor, "image group"]],
) -> Float[Tensor, "image group cam_row cam_column"]:
    """Where in a layer the evidence lies, for each image and each of its groups.

    One forward pass for all images, and one backward pass per group, from the model's output to
    the layer and no further.

    Args:
        model: In evaluation mode.
        layer: Name of a module, as in `model.named_modules()`, whose output has rows and columns.
        evidence: The model's output -> the scalars to explain: a column of logits for each class
            that is asked about, or the sum of a class's logits over some pixels.

    Returns:
        Maps >= 0 at the layer's resolution, not scaled; all zero where nothing speaks for a group.
        Warns where all groups of an image have one map, as at a layer before a linear head.

    Raises:
        GridError: The layer does not exist, or cannot be explained.
        ValueError: The model is in training mode.

    Source: Selvaraju et al. (arXiv:1610.02391); for dense outputs Vinogradova et al.
        (arXiv:2002.11434).
    """
    maps = GradCAM(layer=layer).maps(
        model, images, evidence=lambda inputs: {"output": evidence(model(inputs))}
    )["output"]
    if alike := sum(map(are_one_map, maps)):
        warnings.warn(
            f"all groups have one map at the layer {layer!r}, up to a factor, in {alike} of "
            f"{len(images)} images: behind it everything is linear. An earlier layer tells the "
            "groups apart.",
            stacklevel=2,
        )
    return maps


def irof(
    predict: Callable[[Tensor], Tensor],
    images: Float[Tensor, "image channel row column"],
    maps: Float[Tensor, "image group map_row map_column"],
    *,
    score: Score,
    masks: Bool[Tensor, "image group *output"] | None = None,
    segments: Integer[np.ndarray, "image row column"] | None = None,
    batch: int = 16,
    order: Literal["stable", "numpy"] = "stable",
    fill: Literal["drifting", "clean", "channels"] = "drifting",
    epsilon: float = 1e-6,
) -> Curves:
    """How each group's score falls while superpixels are greyed out, most salient first.

    An image with L superpixels and G groups costs 1 + G L forward passes, in batches of one size.
    An item that can have no curve gets a status, and harms no other.

    Args:
        predict: The model in evaluation mode, or a function of images that calls it, with one
            tensor as result; `image` is its first axis.
        maps: At any resolution; they are enlarged to that of the images.
        score: (prediction, clean=, mask=, group=) -> a score for each row of the prediction. A
            row's `clean` is the prediction on its image with nothing removed, its `mask` that of
            its image and group, its `group` the position along `maps`.
        masks: The part of the output that a group is about; a group whose mask is empty gets a
            status. None: everything, and `score` is given masks of length 1.
        segments: Superpixels of each image, 0 to L - 1; None: SLIC as Quantus calls it.
        batch: Images in each forward pass, the last one filled up. The same batch gives the same
            bits, whatever else is in it, if the model computes each image of a batch alike. On 2
            threads of a CPU torch does not where an image is one row of a matrix product (linear
            layers, convolutions of a pooled image), in batches of 5 to 7.
        order: Of superpixels that tie; see `IROF`.
        fill: What takes a superpixel's place; see `IROF`.
        epsilon: A clean score at or below it gives no curve.

    Raises:
        ValueError: The model is in training mode, or shapes do not fit.
        TypeError: `predict` gives something else than a tensor.

    Source: Rieger & Hansen (arXiv:2003.08747), with order and fill of Quantus 0.5.3.
    """
    _check(predict, images=images, maps=maps, masks=masks, segments=segments, batch=batch)
    method = IROF(epsilon=epsilon, order=order, fill=fill, batch=batch)
    # Half precisions and whole numbers become float32; what is wider stays.
    images, maps = images.detach(), maps.detach().to(torch.promote_types(maps.dtype, torch.float32))
    finite = images.isfinite().flatten(1).all(dim=1).tolist()

    def explained() -> Iterator[Explained]:
        for index, image in enumerate(images):
            if finite[index]:
                yield Explained(
                    image=image,
                    clean=_clean(predict, image),
                    masks=_whole(maps[index], image) if masks is None else masks[index],
                    maps=_enlarged(maps[index], image),
                    segments=_superpixels(image) if segments is None else segments[index],
                )

    found = method.curves(predict, _one_per_row(score), explained())
    return _padded(
        [next(found) if is_finite else _no_curves(maps.shape[1]) for is_finite in finite]
    )


def _check(
    predict: Callable[[Tensor], Tensor],
    *,
    images: Tensor,
    maps: Tensor,
    masks: Tensor | None,
    segments: np.ndarray | None,
    batch: int,
) -> None:
    if isinstance(predict, nn.Module) and any(module.training for module in predict.modules()):
        raise ValueError(
            "the model is in training mode, in which batch norm and dropout mix the images of a "
            "batch: call model.eval() first"
        )
    if batch < 1:
        raise ValueError(f"a batch has 1 image or more; received batch = {batch}")
    if images.ndim != 4 or maps.ndim != 4 or not len(images) == len(maps) > 0 or not maps.shape[1]:
        raise ValueError(
            "images are (image, channel, row, column), maps (image, group, row, column), as many "
            f"of each, at least one, and of a group at least; received {tuple(images.shape)} and "
            f"{tuple(maps.shape)}"
        )
    if masks is not None and (masks.ndim < 3 or masks.shape[:2] != maps.shape[:2]):
        raise ValueError(
            f"masks begin with the images and groups of the maps, {tuple(maps.shape[:2])}, and go "
            f"on with the rows and columns of the output; received {tuple(masks.shape)}"
        )
    if segments is not None and segments.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"segments are (image, row, column), here {(len(images), *images.shape[2:])}; received "
            f"{segments.shape}"
        )


def _clean(predict: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.inference_mode():
        predictions = predict(image[None])
    if not isinstance(predictions, Tensor):
        raise TypeError(
            f"predict gives one tensor, received a {type(predictions).__name__}: hand over a "
            'function that picks one, such as lambda images: model(images)["out"]'
        )
    return predictions[0]


def _one_per_row(score: Score) -> Score:
    def checked(prediction: Tensor, *, clean: Tensor, mask: Tensor, group: Tensor) -> Tensor:
        scores = score(prediction, clean=clean, mask=mask, group=group)
        if scores.shape != group.shape:
            raise ValueError(
                "score gives one number for each row of the prediction, the one of the row's "
                f"group, here {tuple(group.shape)}; received {tuple(scores.shape)}"
            )
        return scores

    return checked


def _whole(maps: Tensor, image: Tensor) -> Bool[Tensor, "group 1"]:
    return torch.ones(len(maps), 1, dtype=torch.bool, device=image.device)


def _enlarged(
    maps: Float[Tensor, "group map_row map_column"], image: Float[Tensor, "channel row column"]
) -> Float[Tensor, "group row column"]:
    rows, columns = image.shape[-2:]
    return divide_by_max(upsample(maps[None], (rows, columns)))[0][0]


def _superpixels(image: Tensor) -> np.ndarray:
    return SLIC(n_segments=100, compactness=10.0).segments(image.double().cpu().numpy())


def _no_curves(groups: int) -> list[Curve]:
    empty = np.empty(0)
    return [Curve(np.full(1, np.nan), empty, empty, UNREADABLE)] * groups


def _padded(found: list[list[Curve]]) -> Curves:
    n_segments = np.array([len(curves[0].order) for curves in found])
    # One step at least, so that areas can be asked for where no image is finite.
    shape = (len(found), len(found[0]), max(n_segments.max(), 1))
    scores = np.full((*shape[:2], shape[2] + 1), np.nan)
    order, segment_scores = np.full(shape, -1), np.full(shape, np.nan)
    for image, curves in enumerate(found):
        for group, curve in enumerate(curves):
            length = len(curve.order)
            scores[image, group, : length + 1] = curve.scores
            order[image, group, :length] = curve.order
            segment_scores[image, group, :length] = curve.segment_score
    status = np.array([[curve.status for curve in curves] for curves in found], dtype=np.uint8)
    return Curves(scores, order, segment_scores, status, n_segments)
