"""Surface normals: a unit vector per pixel, explained one octant of directions at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import DataError

OCTANTS = tuple(product((1.0, -1.0), repeat=3))
"""Signs of x, y and z per group: `+++`, `++-`, ... `---`."""


class Normals:
    """Directions in camera coordinates; valid where any component of the target is not 0.

    Only the direction of a prediction counts, not its length, except in `evidence`.

    Source: Loss and metrics of Liu et al. (arXiv:1803.10704). Departures: valid pixels by "any
        component not 0", where MTAN's code asks for a sum that is not 0, which a valid normal may
        miss; angles are pooled over all pixels, where it averages batches.
    """

    name = "normals"
    channels = 3

    def __init__(self, *, info: DatasetInfo) -> None:
        del info  # directions mean the same in every data set

    def loss(
        self,
        prediction: Float[Tensor, "image 3 row column"],
        target: Float[Tensor, "image 3 row column"],
    ) -> Float[Tensor, ""]:
        """1 - cosine of the angle, averaged over the batch's valid pixels."""
        valid = (target != 0).any(dim=1)
        cosine = _cosine(prediction, target)
        return ((1 - cosine) * valid).sum() / valid.sum().clamp(min=1)

    def meter(self) -> AngleMeter:
        """A new, empty meter."""
        return AngleMeter()

    def constant(self, targets: Iterable[Tensor]) -> Float[Tensor, "3"]:
        """The mean of all valid normals, at length 1.

        Raises:
            DataError: No pixel is valid, or the normals cancel out.
        """
        total = torch.zeros(3, dtype=torch.float64)
        for target in targets:
            total += target.double().movedim(-3, 0).flatten(start_dim=1).sum(dim=1).cpu()
        if not total.any():
            raise DataError(
                "The valid normals of the training split have no mean direction; check that its "
                "normals are not all (0, 0, 0), the mark of an invalid pixel."
            )
        return functional.normalize(total, dim=0).float()

    def group_masks(
        self, prediction: Float[Tensor, "image 3 row column"]
    ) -> Bool[Tensor, "image group row column"]:
        """The pixels in each octant; a component of 0 counts as positive."""
        signs = torch.where(prediction < 0, -1.0, 1.0)
        return (signs[:, None] == _octants(prediction)[:, :, None, None]).all(dim=2)

    def evidence(
        self,
        prediction: Float[Tensor, "image 3 row column"],
        masks: Bool[Tensor, "image group row column"],
    ) -> Float[Tensor, "image group"]:
        """Sum of the normals' projections on the octant's centre over its pixels."""
        centres = _octants(prediction)[:, :, None, None] / math.sqrt(3)
        projection = (prediction[:, None] * centres).sum(dim=2)
        return (projection * masks).sum(dim=(-2, -1))

    def score(
        self,
        prediction: Float[Tensor, "item 3 row column"],
        *,
        clean: Float[Tensor, "item 3 row column"],
        mask: Bool[Tensor, "item row column"],
        group: Int[Tensor, "item"],
    ) -> Float[Tensor, "item"]:
        """Mean cosine of the angle to the clean prediction over the octant's pixels."""
        cosine = _cosine(prediction, clean)
        return (cosine * mask).sum(dim=(-2, -1)) / mask.sum(dim=(-2, -1))


def _octants(like: Tensor) -> Float[Tensor, "group 3"]:
    return torch.tensor(OCTANTS, dtype=like.dtype, device=like.device)


def _cosine(
    one: Float[Tensor, "image 3 row column"], other: Float[Tensor, "image 3 row column"]
) -> Float[Tensor, "image row column"]:
    """Cosine of the angle per pixel; 0 with a gradient of 0 where either has no direction."""
    # torch's cosine_similarity takes 127 ms, not 2, for 64 images of 64 x 64 (one CPU thread).
    squares = one.square().sum(dim=1) * other.square().sum(dim=1)
    return (one * other).sum(dim=1) / squares.clamp(min=1e-12).sqrt()


class AngleMeter:
    """Angles between prediction and target over all valid pixels shown.

    Keeps every angle (4 bytes a pixel, 290 MB for NYUv2's test split), since a median needs them.
    """

    def __init__(self) -> None:
        self._angles: list[np.ndarray] = []

    def update(
        self,
        prediction: Float[Tensor, "image 3 row column"],
        target: Float[Tensor, "image 3 row column"],
    ) -> None:
        """Take in a batch's valid pixels."""
        valid = (target != 0).any(dim=1)
        # In float32 two equal vectors would seem to be 0.02 degrees apart.
        cosine = _cosine(prediction.double(), target.double())[valid]
        angles = cosine.clamp(-1, 1).acos().rad2deg()
        self._angles.append(angles.float().cpu().numpy())

    def compute(self) -> Mapping[str, float]:
        """Mean and median angle in degrees, and the shares of pixels below three angles."""
        angles = np.concatenate([np.empty(0, dtype=np.float32), *self._angles])
        if not angles.size:
            names = ("angle_mean", "angle_median", "within_11", "within_22", "within_30")
            return dict.fromkeys(names, float("nan"))
        return {
            "angle_mean": float(angles.mean(dtype=np.float64)),
            "angle_median": float(np.median(angles)),
            "within_11": float(np.mean(angles < 11.25)),
            "within_22": float(np.mean(angles < 22.5)),
            "within_30": float(np.mean(angles < 30.0)),
        }

    def arrays(self) -> Mapping[str, np.ndarray]:
        """None."""
        return {}
