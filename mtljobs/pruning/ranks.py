"""Numerical ranks of many small matrices, without decomposing each of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PART_BYTES = 1 << 24
"""Maps in double precision that are worked on at a time: as many as a processor's cache holds."""

_ROUNDING = torch.finfo(torch.float64).eps


class Ranks(NamedTuple):
    """Numerical ranks, and how they were found.

    Attributes:
        ranks: Of each map.
        by_svd: Maps for which the Gram matrix was not exact enough.
    """

    ranks: Int[Tensor, "map"]
    by_svd: int


def numerical_ranks(maps: Float[Tensor, "map row column"]) -> Ranks:
    """How many singular values of each map count: those above torch's default tolerance.

    A singular value counts above `max(row, column) * eps * largest`, with `eps` that of the maps'
    own type, as in `torch.linalg.matrix_rank`. Here the singular values are the roots of the
    eigenvalues of the smaller Gram matrix, in double precision. Squares need twice the digits: for
    single-precision maps the tolerance's square, 2e-9 of the largest at 288 x 384, is far above
    the Gram matrix's rounding. A map that has an eigenvalue closer to it than that, and every map
    that is itself in double precision, gets its singular values computed.

    Args:
        maps: Finite.

    Example:
        >>> maps = torch.tensor([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]])
        >>> numerical_ranks(maps).ranks.tolist()
        [1, 2]
    """
    per_part = max(1, PART_BYTES // (8 * maps.shape[-2] * maps.shape[-1]))
    parts = [_ranks(part) for part in torch.split(maps, per_part)]
    return Ranks(
        ranks=torch.cat([part.ranks for part in parts]), by_svd=sum(part.by_svd for part in parts)
    )


def _ranks(maps: Float[Tensor, "map row column"]) -> Ranks:
    """Ranks of maps that are few enough to be worked on at once."""
    rows, columns = maps.shape[-2:]
    tolerance = max(rows, columns) * torch.finfo(maps.dtype).eps
    exact = maps.double()
    gram = exact @ exact.mT if rows <= columns else exact.mT @ exact
    squares = gram.diagonal(dim1=-2, dim2=-1)
    energy = squares.sum(dim=-1)  # the sum of the eigenvalues: not below the largest
    error = (rows + columns) * _ROUNDING * energy

    # An empty row lowers the rank by one and leaves the others alone.
    empty = squares == 0
    ranks = (~empty).sum(dim=-1)
    bound = tolerance**2 * energy + error
    undecided = ~_all_above(bound, gram, fill=empty * energy[:, None])
    values = torch.linalg.eigvalsh(gram[undecided])
    squared_tolerance = tolerance**2 * values[:, -1:]
    ranks[undecided] = (values > squared_tolerance).sum(dim=-1)

    close = (values - squared_tolerance).abs() < error[undecided, None]
    [doubtful] = undecided.nonzero(as_tuple=True)
    doubtful = doubtful[close.any(dim=-1)]
    values = torch.linalg.svdvals(exact[doubtful])
    ranks[doubtful] = (values > tolerance * values[:, :1]).sum(dim=-1)
    return Ranks(ranks, by_svd=len(doubtful))


def _all_above(
    bound: Float[Tensor, "map"],
    gram: Float[Tensor, "map side side"],
    *,
    fill: Float[Tensor, "map side"],
) -> Bool[Tensor, "map"]:
    """Whether a Cholesky factorisation, much cheaper, proves all eigenvalues to exceed a bound.

    Args:
        fill: Added to the diagonal.
    """
    shifted = gram.clone()
    shifted.diagonal(dim1=-2, dim2=-1).add_(fill - bound[:, None])
    failed: Tensor = torch.linalg.cholesky_ex(shifted).info
    return failed == 0
