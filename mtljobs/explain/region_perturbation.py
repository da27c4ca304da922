"""Region perturbation: does a score fall when the squares that a map calls important are filled?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.explain.batches import removal_curves
from mtljobs.explain.removal import (
    NEVER,
    Fill,
    Removal,
    by_step,
    part_fills,
    segment_means,
)

if TYPE_CHECKING:
    from jaxtyping import Int


class RegionPerturbation:
    """Curves of the scores that are left while squares go, most salient first; most of them stay.

    Squares lie on a grid that is centred on the image, whose border may cut the outermost ones.
    An image loses as many as it has superpixels, those of the largest summed saliency; equal ones
    go row by row.

    Args:
        edge: Rows, and columns, of a square.
        epsilon: A clean score at or below it gives no curve.
        fill: What a square is replaced with; see `part_fills`.
        batch: Images in every call of the network, no more and no fewer.

    Source: Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned
        (arXiv:1509.06321), most relevant first; grid, order and fills as in Quantus 0.6.0, whose
        "mean" is "drifting" here. Departures: fills are constant, where the paper
        draws every pixel at random; scores are divided by step 0, where paper and Quantus
        subtract them from it; what Quantus pads the image with does not enter "drifting"; ties
        are stable.
    """

    def __init__(self, *, edge: int, epsilon: float, fill: Fill, batch: int) -> None:
        self._edge = edge
        self._epsilon = epsilon
        self._fill: Fill = fill
        self._batch = batch

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Iterable[Explained],
    ) -> Iterator[list[Curve]]:
        """One curve per group, for one image after the other; see `removal_curves`.

        Raises:
            ValueError: An image has more superpixels than squares.
        """
        return removal_curves(
            self.removal, predict, score, explained, epsilon=self._epsilon, batch=self._batch
        )

    def removal(self, explained: Explained) -> Removal:
        """How the squares of one image go.

        Raises:
            ValueError: It has more superpixels than squares.
        """
        maps = explained.maps.cpu().numpy()
        squares = grid_of_squares(explained.segments.shape, edge=self._edge)
        means = segment_means(maps, squares)
        pixels = np.bincount(squares.ravel())
        steps = int(explained.segments.max()) + 1
        self._require_room(pixels.size, steps, explained)
        order = np.argsort(-means * pixels, axis=1, kind="stable")[:, :steps]
        ranks = np.full(means.shape, NEVER, dtype=np.int32)
        np.put_along_axis(ranks, order, np.arange(steps)[None], axis=1)
        part_scores = np.take_along_axis(means, order, axis=1)
        return Removal.plan(
            explained.image,
            ranks=ranks[:, squares],
            fills=part_fills(
                explained.image.double().cpu().numpy(), self._fill, segments=squares, order=order
            ),
            order=by_step(part_scores),
            part_scores=part_scores,
        )

    def _require_room(self, squares: int, steps: int, explained: Explained) -> None:
        if squares < steps:
            rows, columns = explained.segments.shape
            raise ValueError(
                f"region perturbation takes a square for each superpixel: an image of {rows} x "
                f"{columns} pixels has {steps} superpixels, and {squares} squares of edge "
                f"{self._edge}. Choose a smaller edge, or ask for fewer superpixels."
            )


def grid_of_squares(size: tuple[int, ...], *, edge: int) -> Int[np.ndarray, "row column"]:
    """The square that each pixel lies in, counted row by row.

    Args:
        size: (rows, columns) of the image.

    Example:
        >>> grid_of_squares((2, 5), edge=2).tolist()  # a column is missing: on the right
        [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2]]
        >>> grid_of_squares((1, 4), edge=3).tolist()  # two are missing: one on each side
        [[0, 0, 1, 1]]
    """
    row, column = ((np.arange(length) + (-length % edge) // 2) // edge for length in size)
    squares: Int[np.ndarray, "row column"] = row[:, None] * (column[-1] + 1) + column
    return squares
