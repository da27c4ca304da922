"""What pruning costs: faithfulness and performance against sparsity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mtljobs.report.drawing import GREY, grid_of_axes, legend_above, series_look, style
from mtljobs.results import Average, Performance

PANELS_PER_ROW = 3
DODGE, SPREAD = 0.012, 0.06
"""Sparsity by which neighbouring lines stand apart, so that their intervals do not overlap, and
by which all of them do at most."""


def faithfulness(averages: Sequence[Average], performance: Sequence[Performance]) -> Figure:
    """AOC above, and below it the first of the task's metrics; a column per task.

    A line per experiment with 95 % intervals of the AOC and every seed of the metric; what the
    dense network reaches goes on as a faint line of the same colour.

    Source:
        Figure 4 of the study that the `paper` grid reproduces. Departures: intervals, and seeds.
    """
    experiments = list(dict.fromkeys(row.experiment for row in averages))
    tasks = list(dict.fromkeys(row.task for row in averages))
    with style():
        figure, (upper, lower) = grid_of_axes(2, len(tasks), proportion=0.75)
        dodge = min(DODGE, SPREAD / len(experiments))
        for task, areas, metrics in zip(tasks, upper, lower, strict=True):
            areas.set_title(task)
            measured = _first_metric([row for row in performance if row.task == task])
            _name_metric(metrics, measured)
            for index, experiment in enumerate(experiments):
                own = [r for r in averages if (r.experiment, r.task) == (experiment, task)]
                shift = dodge * (index - (len(experiments) - 1) / 2)
                _draw_averages(areas, [row for row in own if row.items], index, shift)
                rows = [row for row in measured if row.experiment == experiment]
                _draw_seeds(metrics, rows, index, shift)
        upper[0].set_ylabel("averaged AOC")
        figure.align_ylabels()
        _finish(figure, [*upper, *lower], experiments)
    return figure


def performance(rows: Sequence[Performance]) -> Figure:
    """All task metrics against sparsity: a panel per metric, every seed, the constant predictor."""
    experiments = list(dict.fromkeys(row.experiment for row in rows))
    places = list(dict.fromkeys((row.task, row.metric) for row in rows))
    with style():
        columns = min(PANELS_PER_ROW, len(places))
        figure, grid = grid_of_axes(math.ceil(len(places) / columns), columns)
        panels = [axes for row in grid for axes in row]
        for unused in panels[len(places) :]:
            unused.set_axis_off()
        for (task, metric), axes in zip(places, panels, strict=False):
            chosen = [row for row in rows if (row.task, row.metric) == (task, metric)]
            axes.set_title(task)
            _name_metric(axes, chosen)
            for index, experiment in enumerate(experiments):
                own = [row for row in chosen if row.experiment == experiment]
                _draw_seeds(axes, own, index, 0)
        _finish(figure, panels[: len(places)], experiments)
    return figure


def _first_metric(rows: Sequence[Performance]) -> list[Performance]:
    return [row for row in rows if row.metric == rows[0].metric]


def _name_metric(axes: Axes, rows: Sequence[Performance]) -> None:
    """The metric with an arrow towards better, and its constant predictors."""
    axes.set_ylabel(f"{rows[0].metric} {'↓' if rows[0].lower_is_better else '↑'}")
    for constant in dict.fromkeys(r.constant for r in rows if math.isfinite(r.constant)):
        axes.axhline(constant, color=GREY, linestyle="--", linewidth=1.1, zorder=1)


def _draw_averages(axes: Axes, rows: Sequence[Average], index: int, shift: float) -> None:
    colour, marker, line = series_look(index)
    means = np.array([row.mean for row in rows])
    below = means - np.array([row.low for row in rows])
    above = np.array([row.high for row in rows]) - means
    axes.errorbar(
        [row.sparsity + shift for row in rows],
        means,
        yerr=np.clip(np.nan_to_num([below, above]), 0, None),
        color=colour,
        marker=marker,
        linestyle=line,
        capsize=2.5,
        elinewidth=1,
    )
    _draw_dense(axes, {row.sparsity: row.mean for row in rows}, colour)


def _draw_seeds(axes: Axes, rows: Sequence[Performance], index: int, shift: float) -> None:
    colour, marker, line = series_look(index)
    known = [row for row in rows if math.isfinite(row.value)]
    means = {
        sparsity: float(np.mean([row.value for row in known if row.sparsity == sparsity]))
        for sparsity in dict.fromkeys(row.sparsity for row in known)
    }
    axes.plot(
        [sparsity + shift for sparsity in means],
        list(means.values()),
        color=colour,
        marker=marker,
        linestyle=line,
    )
    axes.plot(
        [row.sparsity + shift for row in known],
        [row.value for row in known],
        color=colour,
        marker=".",
        markersize=4,
        linestyle="none",
        alpha=0.6,
    )
    _draw_dense(axes, means, colour)


def _draw_dense(axes: Axes, means: dict[float, float], colour: str) -> None:
    if 0 in means:
        axes.axhline(means[0], color=colour, linewidth=0.8, alpha=0.45, zorder=1)


def _finish(figure: Figure, panels: Sequence[Axes], experiments: Sequence[str]) -> None:
    """The sparsity axis of every panel, and one legend above them all."""
    for axes in panels:
        axes.set_xlabel("sparsity")
        axes.set_xlim(-0.05, 1.05)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.margins(y=0.12)
    handles = []
    for index in range(len(experiments)):
        colour, marker, line = series_look(index)
        handles += panels[0].plot([], [], color=colour, marker=marker, linestyle=line)
    handles += panels[0].plot([], [], color=GREY, linestyle="--", linewidth=1.1)
    legend_above(figure, handles, [*experiments, "constant predictor"])
