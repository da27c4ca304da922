"""How far two engines are apart on one item, and whether max-pooling can have done it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from mtljobs.contracts import Curve

if TYPE_CHECKING:
    from jaxtyping import Float64, Integer


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
    return np.abs(ours.scores - theirs.scores) / np.abs(theirs.scores).max()


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


@contextmanager
def recorded_indices(network: nn.Module) -> Iterator[list[Integer[Tensor, "image ..."]]]:
    """A context in which all whole numbers that modules return are kept, call after call.

    Such are the positions that max-pooling took its values from, where unpooling puts them back:
    where a window's values tie, as in an area of one grey, rounding decides.
    """
    found: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, outputs: object) -> None:
        values = outputs if isinstance(outputs, tuple) else (outputs,)
        found.extend(
            value
            for value in values
            if isinstance(value, Tensor) and not (value.is_floating_point() or value.is_complex())
        )

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
