"""What every network promises of its predictions, whatever its architecture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def require_branches(tasks: Sequence[str], built_for: Sequence[str]) -> None:
    """Refuse tasks that a network has no branch for.

    Raises:
        ValueError: Names them.
    """
    if unknown := [task for task in tasks if task not in built_for]:
        raise ValueError(
            f"this network was built for {', '.join(built_for)}; it has no branch for "
            f"{', '.join(unknown)}"
        )


def normalise_normals(
    predictions: dict[str, Float[Tensor, "image _ row column"]],
) -> dict[str, Float[Tensor, "image _ row column"]]:
    """The predictions with normals, where there are any, divided by their length.

    A normal of length 0 stays 0, with the gradient 0: one over a small number in its place would
    overflow float16, step after step. Lengths are taken in float32 at least.
    """
    if "normals" not in predictions:
        return predictions
    normals = predictions["normals"]
    normals = normals.to(torch.promote_types(normals.dtype, torch.float32))
    lengths = torch.linalg.vector_norm(normals, dim=1, keepdim=True)
    return {**predictions, "normals": normals / lengths.masked_fill(lengths == 0, math.inf)}
