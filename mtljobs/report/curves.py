"""Mean curves: how scores fall while parts of the image go."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtljobs.report.drawing import GREY, grid_of_axes, in_per_cent, series_look, shades, style
from mtljobs.results.sheets import per_cent


def mean_curves(curves: Mapping[tuple[str, str], xr.DataArray]) -> Figure:
    """Mean curves: a row per experiment, a column per task, a line per sparsity.

    A panel without any curve says so. Each has a y scale of its own: tasks lose too differently.

    Args:
        curves: (Experiment, task) -> mean curve (sparsity, removed).
    """
    experiments = list(dict.fromkeys(experiment for experiment, _ in curves))
    tasks = list(dict.fromkeys(task for _, task in curves))
    with style():
        figure, grid = grid_of_axes(len(experiments), len(tasks), proportion=0.9)
        for (experiment, task), curve in curves.items():
            panel = grid[experiments.index(experiment)][tasks.index(task)]
            panel.set_title(task)
            if curve.notnull().any():
                _draw_curves(panel, curve)
            else:
                panel.text(0, 0.9, "no item has a curve", transform=panel.transAxes)
        for experiment, row in zip(experiments, grid, strict=True):
            if len(experiments) > 1:  # Above the row, where it may be as long as the row.
                row[0].set_title(f"{experiment}\n{row[0].get_title(loc='left')}")
            if used := [panel for panel in row if panel.lines]:
                used[0].set_ylabel("score / clean score")
                used[-1].legend(title="sparsity", loc="upper left", bbox_to_anchor=(1, 1))
            for unused in (panel for panel in row if not panel.lines):
                unused.set_axis_off()
        for column in zip(*grid, strict=True):
            if used := [panel for panel in column if panel.lines]:
                used[-1].set_xlabel("share of the steps")
    return figure


def _draw_curves(axes: Axes, curve: xr.DataArray) -> None:
    sparsities = curve["sparsity"].values
    for index, (sparsity, colour) in enumerate(
        zip(sparsities, shades(len(sparsities)), strict=True)
    ):
        _, marker, _ = series_look(index)
        axes.plot(
            curve["removed"].values,
            curve.sel(sparsity=sparsity).values,
            color=colour,
            marker=marker,
            markevery=(3 * index % 10, 10),
            markersize=4,
            label=per_cent(sparsity),
        )
    axes.axhline(1, color=GREY, linewidth=0.8, zorder=1)
    in_per_cent(axes.xaxis)
