"""Whether the numbers of one shard agree with each other and with `docs/format.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mtljobs.contracts import STATUS

OK = 1
"""The code of `STATUS` that has a curve."""

MISSING = (0, 8)
"""Codes of `STATUS` that are no results."""

NO_PART = 65535
"""Fill of `order`."""

Arrays = Mapping[str, np.ndarray]
"""Arrays of one node by name, along their axes without sparsity and seed."""


def superpixel_faults(arrays: Arrays) -> Iterator[str]:
    """What is wrong with the superpixels of a block of images."""
    segments, counts = arrays["segments"], arrays["n_segments"]
    found = segments.reshape(len(segments), -1).max(axis=1).astype(int) + 1
    for image in np.flatnonzero(found != counts):
        yield (
            f"n_segments is {counts[image]} at image {image} of the block, where segments go up to "
            f"{found[image] - 1}"
        )


def item_faults(arrays: Arrays, n_segments: np.ndarray | None) -> Iterator[str]:
    """What is wrong with the items of one task and block of images.

    Args:
        n_segments: L of each image; None where the store does not say yet.
    """
    status = arrays["status"]
    if (unknown := ~np.isin(status, list(STATUS))).any():
        yield f"status has the codes {sorted(set(status[unknown].tolist()))}, which mean nothing"
    if n_segments is None:
        return
    is_ok, parts = status == OK, n_segments[:, None, None]
    curves = arrays["irof"]
    on_curve = is_ok[..., None] & (np.arange(curves.shape[-1]) <= parts)
    odd = (np.isfinite(curves) != on_curve) | np.isinf(curves)
    if odd.any():
        yield (
            f"irof is finite elsewhere than at steps 0 to L of items with status ok{_first(odd)}"
        )
    if (odd := is_ok & (curves[..., 0] != 1)).any():
        yield f"irof does not begin with 1{_first(odd)}"
    order = arrays["order"]
    # A permutation of 0 to L - 1 and then fill, sorted, is just that.
    rank = np.arange(order.shape[-1])
    whole = np.sort(order, axis=-1) == np.where(rank < parts, rank, NO_PART)
    behind = (rank < parts) | (order == NO_PART)
    is_order = (whole & behind).all(axis=-1)
    is_empty = ~is_ok & (order == NO_PART).all(axis=-1)
    if (odd := ~(is_order | is_empty)).any():
        yield f"order is no permutation of 0 to L - 1{_first(odd)}"


def count_missing(status: np.ndarray) -> dict[int, int]:
    """Items per code that is no result, without the codes that no item has."""
    counts = {code: int(np.count_nonzero(status == code)) for code in MISSING}
    return {code: count for code, count in counts.items() if count}


def _first(odd: np.ndarray) -> str:
    image, group = np.argwhere(odd)[0][:2]
    return f", such as at image {image} of the block, group {group}"
