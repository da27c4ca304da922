"""Saliency maps at the size of their images, made from what the store keeps of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from mtljobs.errors import UserError
from mtljobs.results.areas import require_task

if TYPE_CHECKING:
    from jaxtyping import Float

SIZE = "image_size"
"""Attribute of a task's dataset, where `open_run` put it: rows and columns of the images."""


def saliency(items: xr.Dataset) -> xr.DataArray:
    """Maps as they were judged: at the size of their images, with their maxima at 1.

    Select first, for a map has as many values as its image has pixels. NaN where there is no map,
    as of an image that was not explained yet, or whose maps are not kept.

    Args:
        items: The dataset of a task's node, as `open_run` gives it, or any selection of it.

    Returns:
        Along the axes of `status`, with `row` and `column` last.

    Raises:
        UserError: The run keeps no maps, or maps of a subset, and the selection has lost the names
            of its images; or this is no task's dataset.

    Source:
        The jobs resize with torch's `interpolate(mode="bilinear", align_corners=False)` and divide
        by `cam_max`, the maximum that they found. Departure: sums are rounded once, so values may
        be a few of float32's last bits away from theirs. Half-precision maps are as coarse as
        float16, good to look at; no curve is ever made of them.
    """
    cams = kept_maps(items)
    resized: xr.DataArray = xr.apply_ufunc(
        upsample,
        cams,
        input_core_dims=[["cam_row", "cam_column"]],
        output_core_dims=[["row", "column"]],
        exclude_dims={"cam_row", "cam_column"},
        kwargs={"size": items.attrs[SIZE]},
    )
    peaks = items["cam_max"]
    shares = resized / peaks.where(peaks > 0, 1)
    return shares.rename("saliency").assign_attrs(long_name="saliency, maximum 1", units="1")


def keeps_maps(items: xr.Dataset) -> bool:
    """Whether the run keeps any map of a task."""
    return "cam" in items or "cam_half" in items


def kept_maps(items: xr.Dataset) -> xr.DataArray:
    """Maps as their method gave them, along `image`, however the run keeps them.

    Returns:
        NaN for images whose maps are not kept.

    Raises:
        UserError: As `saliency`.
    """
    if "cam_half" in items:
        peaks = items["cam_max"]
        return items["cam_half"].astype(np.float32) * peaks.where(peaks > 0, 1)
    if "cam" not in items:
        require_task(items)
        raise UserError(
            'this run keeps no maps (explain.maps = "scores"): expected an array cam or cam_half. '
            "`segment_score` has the mean of each map over each superpixel."
        )
    if "map_image" not in items["cam"].dims:
        return items["cam"]
    if "image" not in items.coords:
        raise UserError(
            "this run keeps the maps of some images, and nothing says which image was selected: "
            "select without drop=True, which takes the name away."
        )
    return _by_image(items["cam"], items["image"])


def _by_image(cams: xr.DataArray, images: xr.DataArray) -> xr.DataArray:
    wanted = np.atleast_1d(images.values)
    known = wanted[np.isin(wanted, cams["map_image"].values)]
    cams = cams.drop_vars(("map_image_id", "image", "image_id"), errors="ignore")
    found = cams.sel(map_image=known)
    found = found.reindex(map_image=wanted).rename(map_image="image")
    return found if images.ndim else found.isel(image=0)


def upsample(
    maps: Float[np.ndarray, "*axes cam_row cam_column"], size: tuple[int, int]
) -> Float[np.ndarray, "*axes row column"]:
    """Maps at another size in pixels (rows, columns): bilinear, pixels as areas, edges kept.

    Example:
        >>> upsample(np.array([[0.0, 4.0]], dtype=np.float32), (1, 4)).tolist()
        [[0.0, 1.0, 3.0, 4.0]]
    """
    down, right = (
        _interpolation(length, edge) for length, edge in zip(maps.shape[-2:], size, strict=True)
    )
    return np.asarray(down @ maps @ right.T, dtype=np.float32)


def _interpolation(length: int, edge: int) -> Float[np.ndarray, "edge length"]:
    """The matrix that takes `length` samples to `edge` samples."""
    # Rounded to float32 as torch rounds them: at sizes that divide unevenly it shows in the maps.
    scale = np.float64(np.float32(length) / np.float32(edge))
    centre = (scale * (np.arange(edge) + 0.5) - 0.5).astype(np.float32)
    inside = np.clip(centre, 0, length - 1)[:, None].astype(np.float64)
    return np.asarray(np.clip(1 - np.abs(inside - np.arange(length)), 0, None))
