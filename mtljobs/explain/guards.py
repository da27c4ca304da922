"""Which items can have no curve, and why: said per item, so that none harms another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mtljobs.contracts import STATUS, Curve, Explained, Score

if TYPE_CHECKING:
    from jaxtyping import Float64, Int, UInt8

CODE = {text: code for code, text in STATUS.items()}
OK = CODE["ok"]


def unfit(explained: Explained, *, parts: int) -> UInt8[np.ndarray, "group"]:
    """Status of items before anything is removed.

    Args:
        parts: That the image is removed in.
    """
    masks, maps = explained.masks.flatten(1), explained.maps.flatten(1)
    every = len(maps)
    faults = {
        # First: groups are read off the clean prediction.
        "output not finite": np.full(every, not explained.clean.isfinite().all().item()),
        "group empty": ~masks.any(dim=1).cpu().numpy(),
        "map not finite": ~maps.isfinite().all(dim=1).cpu().numpy(),
        "map all zero": ~maps.any(dim=1).cpu().numpy(),
        "one superpixel": np.full(every, parts == 1),
    }
    codes = [CODE[fault] for fault in faults]
    return np.select(list(faults.values()), codes, default=OK).astype(np.uint8)


def clean_scores(
    explained: Explained, groups: Int[np.ndarray, "group"], score: Score, *, batch: int
) -> Float64[np.ndarray, "group"]:
    """The score of each group at step 0, from the prediction that is there already.

    Args:
        batch: Items in every call of `score`, as later.
    """
    if not len(groups):
        return np.empty(0)
    device = explained.image.device
    padding = np.repeat(groups[-1:], -len(groups) % batch)
    clean = explained.clean.expand(batch, *explained.clean.shape)
    padded = torch.as_tensor(np.concatenate([groups, padding]), device=device)
    with torch.inference_mode():
        scores = [
            score(clean, clean=clean, mask=explained.masks[g], group=g)
            for g in torch.split(padded, batch)
        ]
    return torch.cat(scores)[: len(groups)].double().cpu().numpy()


def judge(
    scores: Float64[np.ndarray, "group step"], *, epsilon: float
) -> UInt8[np.ndarray, "group"]:
    """Status of items by their scores from step 0 on."""
    finite = np.isfinite(scores).all(axis=1)
    low = scores[:, 0] <= epsilon
    codes = [CODE["output not finite"], CODE["clean score <= eps"]]
    return np.select([~finite, low], codes, default=OK).astype(np.uint8)


def make_curve(
    scores: Float64[np.ndarray, "step"],
    *,
    order: Int[np.ndarray, "segment"],
    part_scores: Float64[np.ndarray, "segment"],
    status: int,
) -> Curve:
    """A curve in shares of its clean score; NaN unless the status is ok."""
    relative = scores / scores[0] if status == OK else np.full_like(scores, np.nan)
    return Curve(scores=relative, order=order, segment_score=part_scores, status=status)
