"""Pixel flipping: does a score fall when the pixels that a map calls important are overwritten?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.explain.batches import removal_curves
from mtljobs.explain.removal import Fill, Removal, by_step, part_fills, segment_means

if TYPE_CHECKING:
    from jaxtyping import Float, Int32


class PixelFlipping:
    """Curves of the scores that are left while single pixels go, most salient first.

    An image takes as many steps as it has superpixels, L, and by step k has lost its
    round(k * pixels / L) most salient pixels; those of equal saliency go row by row.

    Args:
        epsilon: A clean score at or below it gives no curve.
        fill: What a pixel is replaced with; see `part_fills`.
        batch: Images in every call of the network, no more and no fewer.

    Source: Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
        Layer-Wise Relevance Propagation (doi 10.1371/journal.pone.0130140); fills as in Quantus
        0.6.0, whose "mean" is "drifting" here. Departures: pixels get one value, where the paper
        flips those of digits; all channels of a pixel go at once, where Quantus overwrites single
        numbers; steps are set by how many there are, so that curves of all measures have one axis
        and one cost; step 0 is kept, and divides; ties are stable.
    """

    def __init__(self, *, epsilon: float, fill: Fill, batch: int) -> None:
        self._epsilon = epsilon
        self._fill: Fill = fill
        self._batch = batch

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Iterable[Explained],
    ) -> Iterator[list[Curve]]:
        """One curve per group, for one image after the other; see `removal_curves`."""
        return removal_curves(
            self.removal, predict, score, explained, epsilon=self._epsilon, batch=self._batch
        )

    def removal(self, explained: Explained) -> Removal:
        """How the pixels of one image go."""
        maps = explained.maps.cpu().numpy()
        image = explained.image.double().cpu().numpy()
        steps = int(explained.segments.max()) + 1
        ranks = salient_first(maps, steps=steps)
        turns = np.arange(steps)[None]
        fills = [part_fills(image, self._fill, segments=parts, order=turns) for parts in ranks]
        means = [segment_means(one[None], parts) for one, parts in zip(maps, ranks, strict=True)]
        part_scores = np.concatenate(means)
        return Removal.plan(
            explained.image,
            ranks=ranks,
            fills=np.concatenate(fills),
            order=by_step(part_scores),
            part_scores=part_scores,
        )


def salient_first(
    maps: Float[np.ndarray, "group row column"], *, steps: int
) -> Int32[np.ndarray, "group row column"]:
    """How many steps go before the one that takes each pixel.

    Steps take equally many pixels, or one more or less.

    Example:
        >>> salient_first(np.array([[[0.1, 0.9, 0.5, 0.9, 0.2]]]), steps=2).tolist()
        [[[1, 0, 0, 0, 1]]]
    """
    pixels = maps[0].size
    order = np.argsort(-maps.reshape(len(maps), pixels), axis=1, kind="stable")
    ends = (2 * pixels * np.arange(1, steps + 1) + steps) // (2 * steps)  # rounded, halves up
    turns = np.repeat(np.arange(steps, dtype=np.int32), np.diff(ends, prepend=0))
    ranks = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, turns[None], axis=1)
    return ranks.reshape(maps.shape)
