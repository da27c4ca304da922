"""What pruning costs: faithfulness and performance against sparsity."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtljobs.report.drawing import (
    GREY,
    LETTER,
    grid_of_axes,
    in_per_cent,
    legend_above,
    series_look,
    style,
)
from mtljobs.results import Average, Performance

PANELS_PER_ROW = 3
DODGE, SPREAD = 0.012, 0.06
"""Sparsity by which neighbouring lines stand apart, so that they do not hide each other, and by
which all of them do at most."""

MeasuredOn = Mapping[tuple[str, str], str]
"""(Experiment, task) -> what its metrics are measured on; they compare where that is the same."""


@dataclass(frozen=True)
class _Look:
    """How an experiment is drawn: `shift` is added to its sparsities."""

    colour: str
    marker: str
    line: str
    shift: float


def faithfulness(
    averages: Sequence[Average], performance: Sequence[Performance], measured_on: MeasuredOn
) -> Figure:
    """AOC above, and below it the first of the task's metrics; a column per task.

    A line per experiment with 95 % intervals of the AOC and every seed of the metric; what the
    dense network reaches goes on as a faint line of the same colour.

    Source:
        Figure 4 of the study that the `paper` grid reproduces. Departures: intervals, seeds, and a
        panel of the metric for each of `measured_on`.
    """
    looks = _looks([row.experiment for row in averages])
    tasks = list(dict.fromkeys(row.task for row in averages))
    metrics = [_first_metric([r for r in performance if r.task == t], measured_on) for t in tasks]
    with style():
        figure, grid = grid_of_axes(1 + max(map(len, metrics)), len(tasks), proportion=0.75)
        columns = zip(*grid, strict=True)
        for task, measured, (areas, *below) in zip(tasks, metrics, columns, strict=True):
            areas.set_title(task)
            for experiment, look in looks.items():
                own = [r for r in averages if (r.experiment, r.task) == (experiment, task)]
                _draw_averages(areas, [row for row in own if row.items], look)
            for (place, rows), axes in zip(measured.items(), below, strict=False):
                _set_title(axes, place)
                _draw_metric(axes, rows, looks)
        grid[0][0].set_ylabel("averaged AOC")
        figure.align_ylabels()
        _finish(figure, grid, looks)
    return figure


def performance(rows: Sequence[Performance], measured_on: MeasuredOn) -> Figure:
    """All task metrics against sparsity, with every seed and the constant predictors.

    A panel per metric, for each of `measured_on`.
    """
    looks = _looks([row.experiment for row in rows])
    tasks = list(dict.fromkeys(row.task for row in rows))
    panels: dict[tuple[str, str, str], list[Performance]] = {}
    for row in sorted(rows, key=lambda row: tasks.index(row.task)):
        place = measured_on[row.experiment, row.task]
        panels.setdefault((row.task, place, row.metric), []).append(row)
    columns = min(PANELS_PER_ROW, len(panels))
    with style():
        figure, grid = grid_of_axes(math.ceil(len(panels) / columns), columns)
        flat = [axes for row in grid for axes in row]
        for ((task, place, _), chosen), axes in zip(panels.items(), flat, strict=False):
            _set_title(axes, task, place)
            _draw_metric(axes, chosen, looks)
        _finish(figure, grid, looks)
    return figure


def _looks(experiments: Sequence[str]) -> dict[str, _Look]:
    names = list(dict.fromkeys(experiments))
    dodge = min(DODGE, SPREAD / len(names))
    return {
        name: _Look(*series_look(index), shift=dodge * (index - (len(names) - 1) / 2))
        for index, name in enumerate(names)
    }


def _first_metric(
    rows: Sequence[Performance], measured_on: MeasuredOn
) -> dict[str, list[Performance]]:
    """The first metric, by what it is measured on."""
    places: dict[str, list[Performance]] = {}
    for row in rows:
        if row.metric == rows[0].metric:
            places.setdefault(measured_on[row.experiment, row.task], []).append(row)
    return places


def _set_title(axes: Axes, *lines: str) -> None:
    """A title whose lines are broken where the panel ends."""
    width = int(axes.bbox.width / axes.figure.dpi / LETTER)
    broken = [part for line in lines for part in textwrap.wrap(line, width)]
    axes.set_title("\n".join(broken))


def _draw_averages(axes: Axes, rows: Sequence[Average], look: _Look) -> None:
    means = np.array([row.mean for row in rows])
    below = means - np.array([row.low for row in rows])
    above = np.array([row.high for row in rows]) - means
    axes.errorbar(
        [row.sparsity + look.shift for row in rows],
        means,
        yerr=np.clip(np.nan_to_num([below, above]), 0, None),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        capsize=2.5,
        elinewidth=1,
    )
    _draw_dense(axes, {row.sparsity: row.mean for row in rows}, look)


def _draw_metric(axes: Axes, rows: Sequence[Performance], looks: Mapping[str, _Look]) -> None:
    """One metric of the experiments that have it, with an arrow towards better."""
    axes.set_ylabel(f"{rows[0].metric} {'↓' if rows[0].lower_is_better else '↑'}")
    constants = {row.experiment: row.constant for row in rows if math.isfinite(row.constant)}
    for experiment, look in looks.items():
        if own := [row for row in rows if row.experiment == experiment]:
            _draw_seeds(axes, own, look)
        if experiment in constants:
            constant = constants[experiment]
            equal = [name for name in constants if math.isclose(constants[name], constant)]
            # Dashes at the same height take turns.
            dashes = (6 * equal.index(experiment), (4, 6 * len(equal) - 4))
            axes.axhline(constant, color=look.colour, linestyle=dashes, linewidth=1.1, zorder=1)


def _draw_seeds(axes: Axes, rows: Sequence[Performance], look: _Look) -> None:
    known = [row for row in rows if math.isfinite(row.value)]
    means = {
        sparsity: float(np.mean([row.value for row in known if row.sparsity == sparsity]))
        for sparsity in dict.fromkeys(row.sparsity for row in known)
    }
    axes.plot(
        [sparsity + look.shift for sparsity in means],
        list(means.values()),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
    )
    axes.plot(
        [row.sparsity + look.shift for row in known],
        [row.value for row in known],
        color=look.colour,
        marker=".",
        markersize=4,
        linestyle="none",
        alpha=0.6,
    )
    _draw_dense(axes, means, look)


def _draw_dense(axes: Axes, means: Mapping[float, float], look: _Look) -> None:
    if 0 in means:
        axes.axhline(means[0], color=look.colour, linewidth=0.8, alpha=0.45, zorder=1)


def _finish(figure: Figure, grid: Sequence[Sequence[Axes]], looks: Mapping[str, _Look]) -> None:
    """The sparsity axis of every panel that is used, and one legend above them all."""
    for column in zip(*grid, strict=True):
        used = [axes for axes in column if axes.lines]
        for axes in used:
            axes.set_xlim(-0.05, 1.05)
            in_per_cent(axes.xaxis)
            axes.margins(y=0.12)
        used[-1].set_xlabel("sparsity")
        for unused in column[len(used) :]:
            unused.set_axis_off()
    first = grid[0][0]
    handles = [
        *(
            line
            for look in looks.values()
            for line in first.plot(
                [], [], color=look.colour, marker=look.marker, linestyle=look.line
            )
        ),
        *first.plot([], [], color=GREY, linestyle="--", linewidth=1.1),
    ]
    legend_above(figure, handles, [*looks, "constant predictor, in the same colour"])
