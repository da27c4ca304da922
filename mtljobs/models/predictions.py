"""What every network promises of its predictions, whatever its architecture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_EPSILON = 1e-12
"""Added to the length of a predicted normal before dividing by it."""


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

    A normal of length 0 stays 0, with a finite gradient.
    """
    if "normals" not in predictions:
        return predictions
    normals = predictions["normals"]
    lengths = torch.linalg.vector_norm(normals, dim=1, keepdim=True)
    return {**predictions, "normals": normals / (lengths + _EPSILON)}
