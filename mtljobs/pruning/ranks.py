"""Numerical ranks of many small matrices, without decomposing each of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

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
    rows, columns = maps.shape[-2:]
    tolerance = max(rows, columns) * torch.finfo(maps.dtype).eps
    exact = maps.double()
    gram = exact @ exact.mT if rows <= columns else exact.mT @ exact
    # The sum of the eigenvalues: bounds the largest, and with it the error of each.
    energy = gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    error = (rows + columns) * _ROUNDING * energy

    ranks = torch.full_like(energy, min(rows, columns), dtype=torch.int64)
    undecided = ~_all_above(gram, tolerance**2 * energy + error)
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
    gram: Float[Tensor, "map side side"], bound: Float[Tensor, "map"]
) -> Bool[Tensor, "map"]:
    """Whether a Cholesky factorisation, much cheaper, proves all eigenvalues to exceed a bound."""
    shifted = gram.clone()
    shifted.diagonal(dim1=-2, dim2=-1).sub_(bound[:, None])
    failed: Tensor = torch.linalg.cholesky_ex(shifted).info
    return failed == 0
