"""Curves of many items from full batches of one size, whichever images their rows come from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mtljobs.contracts import Curve, Explained, Score
from mtljobs.explain.guards import OK, clean_scores, judge, make_curve, unfit
from mtljobs.explain.removal import Removal

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64

Row = tuple["_Judged", int]
"""One perturbed image: whose, and which of its rows."""


def removal_curves(
    plan: Callable[[Explained], Removal],
    predict: Callable[[Tensor], Tensor],
    score: Score,
    explained: Iterable[Explained],
    *,
    epsilon: float,
    batch: int,
) -> Iterator[list[Curve]]:
    """One curve per group, for one image after the other.

    An item that can have no curve says why in its status and leaves the others alone. Every call
    of `predict` has the same shape, across the borders of groups and images, so that a curve's
    bits depend on no other item, as long as the network computes each image of a batch alike.
    Memory is that of one batch, of the images that have rows in it, and of those between them
    that have none, together `batch` at most; only scores leave the device, once per image.

    Args:
        plan: What goes of an image, when, and what takes its place.
        epsilon: A clean score at or below it gives no curve.
        batch: Images in every call of `predict`; one that is not full repeats its last image.
    """
    begun: deque[_Judged] = deque()

    def chunks() -> Iterator[list[Row]]:
        chunk: list[Row] = []
        for one in explained:
            begun.append(_Judged(one, plan(one), score, epsilon=epsilon, batch=batch))
            for row in range(begun[-1].rows):
                chunk.append((begun[-1], row))
                if len(chunk) == batch:
                    yield chunk
                    chunk = []
            # Images without rows fill no batch, and would pile up behind one that waits for it.
            if not chunk or len(begun) >= batch:
                yield chunk
                chunk = []
        yield chunk

    for chunk in chunks():
        if chunk:
            _rate(chunk + chunk[-1:] * (batch - len(chunk)), predict, score)
        while begun and begun[0].is_complete:
            yield begun.popleft().curves()


def _rate(chunk: list[Row], predict: Callable[[Tensor], Tensor], score: Score) -> None:
    """Compute the scores of some rows, and give each image its own."""
    pieces = [
        _Piece(judged, [row for _, row in own]) for judged, own in groupby(chunk, itemgetter(0))
    ]
    with torch.inference_mode():
        scores = score(
            predict(torch.cat([piece.images() for piece in pieces])),
            clean=torch.cat([piece.clean() for piece in pieces]),
            mask=torch.cat([piece.masks() for piece in pieces]),
            group=torch.cat([piece.groups for piece in pieces]),
        )
    lengths = [len(piece.groups) for piece in pieces]
    for piece, found in zip(pieces, torch.split(scores.double(), lengths), strict=True):
        piece.keep(found)


class _Judged:
    """One image on its way: a row is a step, 1 to L, of a group that is fit for a curve."""

    def __init__(
        self, explained: Explained, removal: Removal, score: Score, *, epsilon: float, batch: int
    ) -> None:
        self.explained = explained
        self.removal = removal
        self._epsilon = epsilon
        self._status = unfit(explained, parts=removal.steps)
        self._scores = np.full((len(self._status), removal.steps + 1), np.nan)
        # Clean scores first: an item that fails there costs no forward pass.
        fit = np.flatnonzero(self._status == OK)
        self._scores[fit, 0] = clean_scores(explained, fit, score, batch=batch)
        self._status[fit] = judge(self._scores[fit, :1], epsilon=epsilon)
        self._fit = np.flatnonzero(self._status == OK)
        device = explained.image.device
        self.groups = torch.as_tensor(self._fit, device=device)
        self.rows = len(self._fit) * removal.steps
        self.found = torch.empty(self.rows, dtype=torch.float64, device=device)
        self.is_complete = not self.rows

    def curves(self) -> list[Curve]:
        """The curve of every group, or why it has none."""
        self._scores[self._fit, 1:] = self.found.cpu().numpy().reshape(-1, self.removal.steps)
        self._status[self._fit] = judge(self._scores[self._fit], epsilon=self._epsilon)
        return [
            make_curve(scores, order=order, part_scores=part_scores, status=status)
            for scores, order, part_scores, status in zip(
                self._scores,
                self.removal.order,
                self.removal.part_scores,
                self._status.tolist(),
                strict=True,
            )
        ]


class _Piece:
    """Rows of one image that lie side by side in a batch."""

    def __init__(self, judged: _Judged, rows: list[int]) -> None:
        self._judged = judged
        self._is_last = rows[-1] + 1 == judged.rows
        self._rows = torch.tensor(rows, device=judged.groups.device)
        self.groups = judged.groups[self._rows // judged.removal.steps]

    def images(self) -> Float[Tensor, "item channel row column"]:
        """Each row's perturbed image."""
        removal = self._judged.removal
        return removal.images(self.groups, self._rows % removal.steps + 1)

    def clean(self) -> Float[Tensor, "item output out_row out_column"]:
        """The clean prediction, for every row."""
        clean = self._judged.explained.clean
        return clean.expand(len(self.groups), *clean.shape)

    def masks(self) -> Bool[Tensor, "item out_row out_column"]:
        """The pixels of each row's group."""
        return self._judged.explained.masks[self.groups]

    def keep(self, scores: Float64[Tensor, "item"]) -> None:
        """Give the image its scores; a row that was repeated got the same one each time."""
        self._judged.found[self._rows] = scores
        self._judged.is_complete = self._is_last
