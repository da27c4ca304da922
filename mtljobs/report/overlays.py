"""Saliency maps over the images that they explain."""

from __future__ import annotations

import textwrap

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from mtljobs.contracts import STATUS
from mtljobs.report.drawing import grid_of_axes, head, heighten, hide_frame, show_image, style
from mtljobs.results.averages import OK
from mtljobs.results.maps import keeps_maps, kept_maps, upsample
from mtljobs.results.sheets import per_cent

GROUPS = 8
SPARSITIES = 6
"""How much of a task one figure shows at most; chosen by rule, never by look."""


def overlays(task: xr.Dataset, inputs: xr.Dataset, *, title: str) -> Figure:
    """Maps of one image: a row per sparsity, a column per group.

    Shows `richest_image`, the groups that most networks have a map of, and sparsities spread from
    the lowest to the highest, all of the first seed. Each map is divided by its own maximum.

    Args:
        task: A task's arrays.
        inputs: The arrays of `inputs` of its experiment, with previews.

    Source:
        Figure 2 of the study that the `paper` grid reproduces.
    """
    image = richest_image(task, inputs)
    pixels = inputs["preview"].sel(preview_image=image).values / 255
    segments = inputs["segments"].sel(image=image)
    sparsities = _spread(task["sparsity"].values)
    shown = task.isel(seed=0).sel(image=image, sparsity=sparsities)
    groups = _frequent_groups(shown["status"])
    proportion = segments.sizes["row"] / segments.sizes["column"]
    with style():
        figure, grid = grid_of_axes(
            len(sparsities), 1 + len(groups), widest=1.6, proportion=proportion
        )
        head(figure, title, f"image {image}")
        show_image(grid[0][0], pixels, title="image")
        for row, sparsity in zip(grid, sparsities, strict=True):
            row[0].set_ylabel(per_cent(sparsity))
            hide_frame(row[0])
            for axes, group in zip(row[1:], groups, strict=True):
                item = shown.sel(group=group, sparsity=sparsity)
                heading = _in_lines(group) if row is grid[0] else ""
                _show_item(axes, pixels, item, segments, title=heading)
        _add_scale(figure)
    return figure


def richest_image(task: xr.Dataset, inputs: xr.Dataset) -> str:
    """The preview image for which networks of the first seed have most maps; at ties the first."""
    images = inputs["preview_image"].values
    maps = (task["status"].isel(seed=0).sel(image=images) == OK).sum(["sparsity", "group"])
    return str(images[np.argmax(maps.values)])


def _spread(sparsities: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(sparsities) - 1, min(SPARSITIES, len(sparsities)))
    return np.asarray(sparsities[np.round(places).astype(int)])


def _frequent_groups(status: xr.DataArray) -> list[str]:
    """The groups with most maps, in their own order; at ties the first."""
    maps = (status == OK).sum("sparsity").values
    best = np.sort(np.argsort(-maps, kind="stable")[: max(1, min(GROUPS, np.count_nonzero(maps)))])
    return [str(group) for group in status["group"].values[best]]


def _in_lines(name: str) -> str:
    """A name that no column is too narrow for."""
    return "\n".join(textwrap.wrap(name, 12, max_lines=2, placeholder="…"))


def _show_item(
    axes: Axes, pixels: np.ndarray, item: xr.Dataset, segments: xr.DataArray, *, title: str
) -> None:
    status = int(item["status"])
    if status == OK:
        show_image(axes, lay_over(pixels, _saliency(item, segments)), title=title)
        return
    show_image(axes, _paled(pixels), title=title)
    axes.text(
        0.5,
        0.5,
        _in_lines(STATUS[status]),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
    )


def _saliency(item: xr.Dataset, segments: xr.DataArray) -> np.ndarray:
    """The stored map at the image's size, or where none is kept its mean per superpixel."""
    rows, columns = segments.shape
    if keeps_maps(item):
        return upsample(kept_maps(item).values, (rows, columns))
    return np.asarray(item["segment_score"].values[segments.values])


def _add_scale(figure: Figure) -> None:
    """What the colours mean, below all images; as they are over a mid grey."""
    colours = lay_over(np.full((1, 256, 3), 0.5), np.linspace(0, 1, 256)[None])[0]
    scale = ScalarMappable(cmap=ListedColormap(colours))
    figure.colorbar(
        scale,
        ax=figure.axes,
        location="bottom",
        shrink=0.5,
        aspect=25,
        ticks=[0, 0.5, 1],
        label="share of the map's maximum",
    )
    heighten(figure, lines=3)


def lay_over(pixels: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """A map in colour over its image in pale grey; where it is 0 the grey stays."""
    share = np.clip(saliency / max(float(saliency.max()), np.finfo(np.float32).tiny), 0, 1)
    colour: np.ndarray = mpl.colormaps["inferno"](0.15 + 0.8 * share)[..., :3]
    weight = 0.85 * np.sqrt(share)[..., None]
    return np.asarray(_paled(pixels) * (1 - weight) + colour * weight)


def _paled(pixels: np.ndarray) -> np.ndarray:
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((0.35 + 0.65 * grey)[..., None], 3, axis=-1)
