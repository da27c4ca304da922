"""How far two engines are apart on one item, and whether max-pooling can have done it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Curve, Explained, Faithfulness

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Integer


def curve_deviations(ours: Curve, theirs: Curve) -> Float64[np.ndarray, "step"]:
    """How far two curves are apart at each step, in parts of the largest score of `theirs`.

    Of the largest, since a curve may cross 0; that is 1 at least, at step 0.

    Example:
        >>> ours, theirs = (
        ...     Curve(np.array(scores), np.arange(2), np.ones(2), status=1)
        ...     for scores in ([1.0, 0.5, 0.25], [1.0, 0.5, 0.0])
        ... )
        >>> curve_deviations(ours, theirs).tolist()
        [0.0, 0.0, 0.25]
    """
    largest = np.abs(theirs.scores).max()
    deviations: Float64[np.ndarray, "step"] = np.abs(ours.scores - theirs.scores) / largest
    return deviations


def score_deviation(ours: Curve, theirs: Curve) -> float:
    """How far the scores that Quantus would give are apart, relative, or absolute below 1.

    1 is the score of an answer that never changes.
    """
    scores = [quantus_score(curve) for curve in (ours, theirs)]
    return abs(scores[0] - scores[1]) / max(1.0, abs(scores[1]))


def quantus_score(curve: Curve) -> float:
    """Quantus's one number for an item: the area over steps 1 to L, in steps.

    Example:
        >>> quantus_score(Curve(np.array([1.0, 0.5, 0.0]), np.arange(2), np.ones(2), status=1))
        1.75
    """
    return float(len(curve.order) - np.trapezoid(curve.scores[1:]))


def fed_images(
    engine: Faithfulness, explained: Explained, group: int
) -> list[Float[Tensor, "image channel row column"]]:
    """The batches that an engine gives the network for one item, in order.

    No network computes: the images do not depend on what it says, as long as that has a curve.
    """
    batches: list[Tensor] = []

    def predict(images: Tensor) -> Tensor:
        batches.append(images)
        return explained.clean.expand(len(images), *explained.clean.shape)

    def score(
        prediction: Float[Tensor, "item channel row column"],
        *,
        clean: Float[Tensor, "item channel row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        return torch.ones(len(prediction), device=prediction.device)

    item = slice(group, group + 1)
    alone = dataclasses.replace(explained, masks=explained.masks[item], maps=explained.maps[item])
    list(engine.curves(predict, score, [alone]))
    return batches


def pooling_positions(
    network: nn.Module,
    predict: Callable[[Tensor], Tensor],
    images: Float[Tensor, "image channel row column"],
    row: int,
) -> list[Integer[Tensor, "..."]]:
    """All whole numbers that a network's modules return for one image of a batch.

    Such are the positions that max-pooling took its values from, where unpooling puts them back:
    where a window's values tie, as in an area of one grey, rounding decides.
    """
    with _recorded_integers(network) as found, torch.inference_mode():
        predict(images)
    return [values[row] for values in found]


@contextmanager
def _recorded_integers(network: nn.Module) -> Iterator[list[Tensor]]:
    found: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, outputs: object) -> None:
        values = outputs if isinstance(outputs, tuple) else (outputs,)
        tensors = [value for value in values if isinstance(value, Tensor)]
        found.extend(tensor for tensor in tensors if tensor.dtype == torch.int64)

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
