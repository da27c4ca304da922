"""What every saliency map goes through, whatever method made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float

ONE_MAP_TOLERANCE = 1e-4
"""How far maps that are one may lie apart, as a fraction of their maxima. On narrow SegNet-MTANs
rounding left 5e-7, and bins of depth with maps of their own lay 5e-3 apart or more."""


def upsample(
    maps: Float[Tensor, "image group cam_row cam_column"], size: tuple[int, int]
) -> Float[Tensor, "image group row column"]:
    """Maps at the image's (rows, columns): bilinear, pixels as areas (`align_corners=False`)."""
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def divide_by_max(
    maps: Float[Tensor, "image group row column"],
) -> tuple[Float[Tensor, "image group row column"], Float[Tensor, "image group"]]:
    """Maps with their maxima at 1, and what each was divided by; an all-zero map stays as it is.

    Source: Vinogradova et al. (arXiv:2002.11434), in the order of their code: the maximum is
        taken of the resized map.
    """
    peaks = maps.amax(dim=(-2, -1))
    divisors = torch.where(peaks > 0, peaks, torch.ones_like(peaks))
    return maps / divisors[..., None, None], peaks


def are_one_map(maps: Float[Tensor, "group cam_row cam_column"]) -> bool:
    """Whether the groups of one image and task have a single map between them, up to a factor.

    Such a map shows nothing of a group's own, and the groups' curves differ by their scores alone.
    It is what Grad-CAM gives for all bins of depth behind which everything is linear, and wherever
    a layer has one channel. Measured on the maps as the method gives them: each is divided by its
    maximum, and nowhere may they lie further apart than `ONE_MAP_TOLERANCE`. Groups without a map,
    all zero as of a group without pixels or not finite, do not count; less than two are no case.

    Example:
        >>> near, far = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]])
        >>> are_one_map(torch.stack([near, 3 * near, 0 * near]))
        True
        >>> are_one_map(torch.stack([near, far]))
        False
    """
    has_map = maps.isfinite().flatten(1).all(dim=1) & maps.flatten(1).any(dim=1)
    if has_map.sum() < 2:
        return False
    scaled, _ = divide_by_max(maps[has_map][None])
    apart = scaled.amax(dim=1) - scaled.amin(dim=1)
    return bool(apart.max() <= ONE_MAP_TOLERANCE)
