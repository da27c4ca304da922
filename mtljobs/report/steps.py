"""IROF step by step: what of an image is left, and what of the score."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtljobs.report.drawing import GREY, PAGE_WIDTH, SERIES, head, show_image, style
from mtljobs.report.overlays import richest_image
from mtljobs.results.areas import aoc
from mtljobs.results.averages import OK
from mtljobs.results.sheets import per_cent

SHARES = 8
"""Shown states of the image, from whole to gone."""

COLUMNS = 4


def removal_steps(task: xr.Dataset, inputs: xr.Dataset, *, fill: str, title: str) -> Figure | None:
    """The image while its superpixels go, and below it the curve with a dot for each of these.

    Shows `richest_image`, the lowest sparsity that has a curve for it, the first seed, and the
    first group with a curve.

    Args:
        task: A task's arrays with `n_segments`, of IROF.
        inputs: The arrays of `inputs` of its experiment, with previews.
        fill: As the measure's setting of this name.

    Returns:
        None where that image has no curve.

    Source:
        Figure 3 of the study that the `paper` grid reproduces.
    """
    item = _first_item(task, richest_image(task, inputs))
    if item is None:
        return None
    image = str(item["image"].item())
    pixels = inputs["preview"].sel(preview_image=image).values / 255
    segments = inputs["segments"].sel(image=image).values
    length = int(item["n_segments"])
    shown = np.unique(np.round(np.linspace(0, length, SHARES)).astype(int))
    states = step_images(pixels, segments, item["order"].values[:length], fill=fill)
    with style():
        figure, panels, below = _axes(pixels, len(shown))
        sparsity = per_cent(float(item["sparsity"]))
        head(figure, title, f"image {image}, group {item['group'].item()}, sparsity {sparsity}")
        places = dict(zip(shown.tolist(), panels, strict=True))
        for step, state in enumerate(states):
            if step in places:
                show_image(places[step], state, title=f"step {step} of {length}")
        _draw_curve(below, item["irof"].values[: length + 1], shown, area=float(aoc(item)))
    return figure


def step_images(
    image: np.ndarray, segments: np.ndarray, order: np.ndarray, *, fill: str
) -> Iterator[np.ndarray]:
    """The image (row, column, rgb) at step 0, 1, ..., L.

    Source:
        The setting `fill` of IROF, as `mtljobs.explain.removal.part_fills` has it in closed form.

    Example:
        >>> image, segments = np.array([[[0.0], [2.0], [4.0]]]), np.array([[0, 1, 2]])
        >>> for state in step_images(image, segments, np.array([2, 0, 1]), fill="drifting"):
        ...     state.ravel().round(2).tolist()
        [0.0, 2.0, 4.0]
        [0.0, 2.0, 2.0]
        [1.33, 2.0, 2.0]
        [1.33, 1.78, 2.0]
    """
    current = image.copy()
    clean = image.mean(axis=(0, 1)) if fill == "channels" else image.mean()
    yield current.copy()
    for segment in order:
        current[segments == segment] = current.mean() if fill == "drifting" else clean
        yield current.copy()


def _first_item(task: xr.Dataset, image: str) -> xr.Dataset | None:
    items = task.isel(seed=0).sel(image=image)
    places = np.argwhere(items["status"].transpose("sparsity", "group").values == OK)
    if not len(places):
        return None
    sparsity, group = places[0]
    return items.isel(sparsity=sparsity, group=group)


def _axes(pixels: np.ndarray, images: int) -> tuple[Figure, list[Axes], Axes]:
    """A figure with room for images in rows of `COLUMNS`, and for a curve below them."""
    rows = -(-images // COLUMNS)
    height = PAGE_WIDTH / COLUMNS * pixels.shape[0] / pixels.shape[1] + 0.2
    figure = Figure(figsize=(PAGE_WIDTH, rows * height + 2.2))
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=[height] * rows + [1.9])
    panels = [figure.add_subplot(grid[divmod(place, COLUMNS)]) for place in range(images)]
    return figure, panels, figure.add_subplot(grid[rows, :])


def _draw_curve(axes: Axes, curve: np.ndarray, shown: np.ndarray, *, area: float) -> None:
    steps = np.arange(len(curve))
    shaded = partial(axes.fill_between, steps, curve, 1, alpha=0.3, linewidth=0, interpolate=True)
    shaded(where=curve < 1, color=SERIES[5])
    shaded(where=curve > 1, color=SERIES[1], hatch="////")
    axes.plot(steps, curve, color=SERIES[0])
    axes.plot(shown, curve[shown], color=SERIES[0], marker="o", linestyle="none")
    axes.axhline(1, color=GREY, linewidth=0.8, zorder=1)
    axes.set_title(
        f"AOC = {area:.3f}: the area below 1 less the hatched one above it, per superpixel"
    )
    axes.set(xlabel="superpixels removed", ylabel="score / clean score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
