"""IROF: does a score fall when the superpixels that a map calls important are greyed out?

All perturbed images of an item exist at once: how the grey drifts from step to step follows from
the pixel counts and sums of the superpixels, so that no step has to wait for the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
from torch import Tensor

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.explain.batches import removal_curves
from mtljobs.explain.removal import (
    Fill,
    Removal,
    part_fills,
    rounded_means,
    segment_means,
)


class IROF:
    """Curves of the scores that are left while superpixels go, most salient first.

    Args:
        epsilon: A clean score at or below it gives no curve.
        order: How superpixels of equal saliency go: "stable" by their labels; "numpy" as Quantus
            leaves them, whose means have the maps' precision and numpy's default sort, which
            differs between processors.
        fill: "drifting": the mean over channels and pixels of the image as it is at that step;
            "clean": that mean of the clean image; "channels": a mean per channel of the clean one.
        batch: Images in every call of the network, no more and no fewer.

    Source: Rieger & Hansen (arXiv:2003.08747); order and fill as in Quantus 0.5.3: by mean
        saliency, and one drifting grey. Departures: step 0 is kept; ties are stable.
    """

    def __init__(
        self,
        *,
        epsilon: float,
        order: Literal["stable", "numpy"],
        fill: Literal["drifting", "clean", "channels"],
        batch: int,
    ) -> None:
        self._epsilon = epsilon
        self._order = order
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
        """How the superpixels of one image go."""
        maps = explained.maps.cpu().numpy()
        saliency = segment_means(maps, explained.segments)
        if self._order == "stable":
            order = np.argsort(-saliency, axis=1, kind="stable")
        else:
            order = np.argsort(-rounded_means(maps, explained.segments), axis=1)
        return Removal.plan(
            explained.image,
            ranks=np.argsort(order, axis=1)[:, explained.segments],
            order=order,
            fills=part_fills(
                explained.image.double().cpu().numpy(),
                self._fill,
                segments=explained.segments,
                order=order,
            ),
            part_scores=saliency,
        )
