"""Figures of a run, from its tables and curves: values in, `Figure` out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mtljobs.report.drawing import GREY, grid_of_axes, series_look, shades, style
from mtljobs.results import Average, Performance

PANELS_PER_ROW = 3
DODGE = 0.006
"""Sparsity by which neighbouring lines stand apart, so that their intervals do not overlap."""

Row = TypeVar("Row")


def faithfulness(averages: Sequence[Average]) -> Figure:
    """AOC against sparsity: a panel per task, a line per experiment, 95 % intervals."""
    experiments = _unique(row.experiment for row in averages)
    with style():
        figure, panels = _panels(_unique(row.task for row in averages))
        for task, axes in panels.items():
            axes.set_title(task)
            axes.set_ylabel("averaged AOC")
            for index, experiment in enumerate(experiments):
                rows = [r for r in averages if (r.experiment, r.task) == (experiment, task)]
                _draw_averages(axes, [r for r in rows if r.items], index, len(experiments))
        _finish(figure, panels, experiments)
    return figure


def performance(rows: Sequence[Performance]) -> Figure:
    """Task metrics against sparsity: a panel per metric, every seed, the constant predictor."""
    experiments = _unique(row.experiment for row in rows)
    with style():
        figure, panels = _panels(_unique((row.task, row.metric) for row in rows))
        for (task, metric), axes in panels.items():
            chosen = [row for row in rows if (row.task, row.metric) == (task, metric)]
            axes.set_title(f"{task}: {metric} {'↓' if chosen[0].lower_is_better else '↑'}")
            for constant in _unique(r.constant for r in chosen if math.isfinite(r.constant)):
                axes.axhline(constant, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
            for index, experiment in enumerate(experiments):
                own = [r for r in chosen if r.experiment == experiment and math.isfinite(r.value)]
                _draw_seeds(axes, own, index)
        _finish(figure, panels, experiments, constant=True)
    return figure


def mean_curves(curves: Mapping[tuple[str, str], xr.DataArray]) -> Figure:
    """Mean curves: a row per experiment, a column per task, a line per sparsity.

    Args:
        curves: (Experiment, task) -> mean curve (sparsity, removed).
    """
    experiments = _unique(experiment for experiment, _ in curves)
    tasks = _unique(task for _, task in curves)
    with style():
        figure, axes = grid_of_axes(len(experiments), len(tasks))
        for (experiment, task), curve in curves.items():
            panel = axes[experiments.index(experiment)][tasks.index(task)]
            panel.set_title(f"{experiment}: {task}" if len(experiments) > 1 else task)
            _draw_curves(panel, curve)
        for row in axes:
            row[0].set_ylabel("score / clean score")
            for unused in (panel for panel in row if not panel.lines):
                unused.set_axis_off()
        for panel in axes[-1]:
            panel.set_xlabel("share of the steps")
    return figure


def _draw_averages(axes: Axes, rows: Sequence[Average], index: int, count: int) -> None:
    colour, marker = series_look(index)
    shift = DODGE * (index - (count - 1) / 2)
    means = np.array([row.mean for row in rows])
    below = means - np.array([row.low for row in rows])
    above = np.array([row.high for row in rows]) - means
    axes.errorbar(
        [row.sparsity + shift for row in rows],
        means,
        yerr=np.clip(np.nan_to_num([below, above]), 0, None),
        color=colour,
        marker=marker,
        capsize=3,
        elinewidth=1,
    )


def _draw_seeds(axes: Axes, rows: Sequence[Performance], index: int) -> None:
    colour, marker = series_look(index)
    sparsities = _unique(row.sparsity for row in rows)
    means = [np.mean([r.value for r in rows if r.sparsity == s]) for s in sparsities]
    axes.plot(sparsities, means, color=colour, marker=marker)
    axes.plot(
        [row.sparsity for row in rows],
        [row.value for row in rows],
        color=colour,
        marker=".",
        markersize=4,
        linestyle="none",
        alpha=0.6,
    )


def _draw_curves(axes: Axes, curve: xr.DataArray) -> None:
    sparsities = curve["sparsity"].values
    for index, (sparsity, colour) in enumerate(
        zip(sparsities, shades(len(sparsities)), strict=True)
    ):
        axes.plot(
            curve["removed"].values,
            curve.sel(sparsity=sparsity).values,
            color=colour,
            marker=series_look(index)[1],
            markevery=(3 * index % 10, 10),
            markersize=4,
            label=f"{100 * sparsity:g} %",
        )
    axes.axhline(1, color=GREY, linewidth=0.8, zorder=1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(title="sparsity", fontsize=8, title_fontsize=8)


def _panels(names: Sequence[Row]) -> tuple[Figure, dict[Row, Axes]]:
    columns = min(PANELS_PER_ROW, len(names))
    figure, grid = grid_of_axes(math.ceil(len(names) / columns), columns)
    axes = [panel for row in grid for panel in row]
    for unused in axes[len(names) :]:
        unused.set_axis_off()
    return figure, dict(zip(names, axes, strict=False))


def _finish(
    figure: Figure,
    panels: Mapping[Row, Axes],
    experiments: Sequence[str],
    *,
    constant: bool = False,
) -> None:
    """The sparsity axis of every panel, and one legend above them all."""
    for axes in panels.values():
        axes.set_xlabel("sparsity")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.margins(y=0.12)
    any_axes = next(iter(panels.values()))
    looks = [series_look(index) for index in range(len(experiments))]
    handles = [any_axes.plot([], [], color=colour, marker=marker)[0] for colour, marker in looks]
    labels = list(experiments)
    if constant:
        handles += any_axes.plot([], [], color=GREY, linestyle="--", linewidth=1.2)
        labels.append("constant predictor")
    figure.legend(handles, labels, loc="outside upper left", ncols=4)


def _unique(values: Iterable[Row]) -> list[Row]:
    return list(dict.fromkeys(values))
