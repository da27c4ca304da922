"""Saliency maps over the images that they explain."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtljobs.contracts import STATUS
from mtljobs.report.drawing import grid_of_axes, style
from mtljobs.results.averages import OK
from mtljobs.results.sheets import per_cent

IMAGES = 3
GROUPS = 2
SPARSITIES = 4
"""How much of a task one figure shows at most; chosen by rule, never by look."""


def overlays(task: xr.Dataset, inputs: xr.Dataset, *, title: str) -> Figure:
    """Maps of one task: a row per image, and per group a column for each sparsity.

    Shows the first images of the store, the groups that most of them have, and sparsities spread
    from the lowest to the highest, all of the first seed. Each map is divided by its own maximum.

    Args:
        task: A task's arrays.
        inputs: The arrays of `inputs` of its experiment, with previews.
    """
    previews = inputs["preview"].isel(preview_image=slice(IMAGES))
    images = previews["preview_image"].values
    sparsities = _spread(task["sparsity"].values)
    shown = task.isel(seed=0).sel(image=images, sparsity=sparsities)
    groups = _frequent_groups(shown["status"])
    with style():
        figure, grid = grid_of_axes(
            len(images), 1 + len(groups) * len(sparsities), width=1.45, height=1.5
        )
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        for row, image in enumerate(images):
            pixels = previews.sel(preview_image=image).values / 255
            _show(grid[row][0], pixels, title="image" if row == 0 else "")
            grid[row][0].set_ylabel(str(image), fontsize=7)
            places = [(group, sparsity) for group in groups for sparsity in sparsities]
            for axes, (group, sparsity) in zip(grid[row][1:], places, strict=True):
                item = shown.sel(image=image, group=group, sparsity=sparsity)
                title = f"{group}\n{per_cent(sparsity)}" if row == 0 else ""
                _show_item(axes, pixels, item, inputs["segments"].sel(image=image), title=title)
    return figure


def upsample(
    values: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """A map (row, column) at another size, bilinear, edges kept.

    For display alone: pixel centres as in `torch.nn.functional.interpolate` with
    `align_corners=False`, without its exact rounding.

    Example:
        >>> upsample(np.array([[0.0, 4.0]]), (1, 4)).tolist()
        [[0.0, 1.0, 3.0, 4.0]]
    """
    down, right = (
        _interpolation(length, edge) for length, edge in zip(values.shape, size, strict=True)
    )
    return np.asarray(down @ values @ right.T)


def _interpolation(length: int, edge: int) -> np.ndarray:
    """Matrix that takes `length` samples to `edge` samples."""
    centre = (np.arange(edge) + 0.5) * length / edge - 0.5
    distance = np.abs(np.clip(centre, 0, length - 1)[:, None] - np.arange(length))
    return np.clip(1 - distance, 0, None)


def _spread(sparsities: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(sparsities) - 1, min(SPARSITIES, len(sparsities)))
    return np.asarray(sparsities[np.round(places).astype(int)])


def _frequent_groups(status: xr.DataArray) -> list[str]:
    """The groups with most maps, in their own order; at ties the first."""
    maps = (status == OK).sum(["image", "sparsity"]).values
    best = np.sort(np.argsort(-maps, kind="stable")[: max(1, min(GROUPS, np.count_nonzero(maps)))])
    return [str(group) for group in status["group"].values[best]]


def _show_item(
    axes: Axes, pixels: np.ndarray, item: xr.Dataset, segments: xr.DataArray, *, title: str
) -> None:
    status = int(item["status"])
    if status == OK:
        _show(axes, lay_over(pixels, _saliency(item, segments)), title=title)
        return
    _show(axes, _paled(pixels), title=title)
    axes.text(
        0.5,
        0.5,
        STATUS[status],
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
    )


def _saliency(item: xr.Dataset, segments: xr.DataArray) -> np.ndarray:
    """The stored map at the image's size, or where none is kept its mean per superpixel."""
    rows, columns = segments.shape
    if "cam" in item:
        return upsample(item["cam"].values, (rows, columns))
    return np.asarray(item["segment_score"].values[segments.values])


def lay_over(
    pixels: np.ndarray,
    saliency: np.ndarray,
) -> np.ndarray:
    """A map in colour over its image in pale grey; where it is 0 the grey stays."""
    share = np.clip(saliency / max(float(saliency.max()), np.finfo(np.float32).tiny), 0, 1)
    colour: np.ndarray = mpl.colormaps["inferno"](0.15 + 0.8 * share)[..., :3]
    weight = 0.85 * np.sqrt(share)[..., None]
    return np.asarray(_paled(pixels) * (1 - weight) + colour * weight)


def _paled(pixels: np.ndarray) -> np.ndarray:
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((0.35 + 0.65 * grey)[..., None], 3, axis=-1)


def _show(axes: Axes, pixels: np.ndarray, *, title: str) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, fontsize=8, loc="center")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
