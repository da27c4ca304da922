"""Saliency maps at the size of their images, made from what the store keeps of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from mtljobs.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float

SIZE = "image_size"
"""Attribute of a task's dataset, where `open_run` put it: rows and columns of the images."""


def saliency(items: xr.Dataset) -> xr.DataArray:
    """Maps as they were judged: at the size of their images, with their maxima at 1.

    Select first, for a map has as many values as its image has pixels. NaN where there is no map,
    as of an image that was not explained yet; 0 everywhere where a map is.

    Args:
        items: The dataset of a task's node, as `open_run` gives it, or any selection of it.

    Returns:
        Along the axes of the stored maps, with `row` and `column` last. Of a run with
        `maps = "subset"` the axis of images is `map_image`.

    Raises:
        UserError: The run keeps no maps.

    Source:
        The jobs resize with torch's `interpolate(mode="bilinear", align_corners=False)` and divide
        by `cam_max`, the maximum that they found. Departure: sums are rounded once, so values may
        be a few of float32's last bits away from theirs. Half-precision maps are as coarse as
        float16, good to look at; no curve is ever made of them.
    """
    cams = kept_maps(items)
    rows, columns = items.attrs[SIZE]
    resized: xr.DataArray = xr.apply_ufunc(
        upsample,
        cams,
        input_core_dims=[["cam_row", "cam_column"]],
        output_core_dims=[["row", "column"]],
        exclude_dims={"cam_row", "cam_column"},
        kwargs={"size": (rows, columns)},
    )
    peaks = items["cam_max"]
    if "map_image" in cams.dims or "map_image" in cams.coords:
        peaks = _of_map_images(peaks, cams)
    shares = resized / peaks.where(peaks > 0, 1)
    return shares.rename("saliency").assign_attrs(long_name="saliency, maximum 1", units="1")


def kept_maps(items: xr.Dataset) -> xr.DataArray:
    """Maps as their method gave them, whichever way the run keeps them.

    Raises:
        UserError: It keeps none.
    """
    if "cam" in items:
        return items["cam"]
    if "cam_half" in items:
        return items["cam_half"].astype(np.float32) * items["cam_max"]
    raise UserError(
        'this run keeps no maps (explain.maps = "scores"): expected an array cam or cam_half. '
        "`segment_score` has the mean of each map over each superpixel."
    )


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


def _of_map_images(peaks: xr.DataArray, cams: xr.DataArray) -> xr.DataArray:
    """The maxima of those images whose maps are kept, along `map_image`."""
    return peaks.sel(image=cams["map_image"]).drop_vars("image")
