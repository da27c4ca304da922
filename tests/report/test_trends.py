from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mtljobs.report.drawing import MARKERS, SERIES, png, series_look, style, svg
from mtljobs.report.trends import faithfulness, performance
from mtljobs.results import Tables

EXPERIMENTS = ("segnet-hrank", "segnet-netslim")
TASKS = {"segmentation": "miou", "depth": "abs_error", "normals": "angle_mean"}
ROOMS = {(experiment, task): "rooms" for experiment in EXPERIMENTS for task in TASKS}
APART = {**ROOMS, ("segnet-netslim", "depth"): "streets"}
"""What metrics are measured on: one data set, and two for depth."""


def test_faithfulness_stands_above_performance_in_a_column_per_task(found: Tables) -> None:
    upper, lower = split(faithfulness(found.averages, found.performance, ROOMS))
    assert [axes.get_title(loc="left") for axes in upper] == list(TASKS)
    for task, areas, metrics in zip(TASKS, upper, lower, strict=True):
        bars = [container.lines[0] for container in areas.containers]
        lines = [line for line in metrics.lines if line.get_marker() in MARKERS[:2]]
        for experiment, mean_aoc, mean_metric in zip(EXPERIMENTS, bars, lines[:2], strict=True):
            rows = [r for r in found.averages if (r.experiment, r.task) == (experiment, task)]
            assert mean_aoc.get_ydata().tolist() == [row.mean for row in rows]
            of_seeds = [
                [r.value for r in found.performance
                 if (r.experiment, r.task, r.metric, r.sparsity)
                 == (experiment, task, TASKS[task], row.sparsity)]
                for row in rows
            ]  # fmt: skip
            assert mean_metric.get_ydata().tolist() == [np.mean(values) for values in of_seeds]
            np.testing.assert_allclose(
                mean_metric.get_xdata(), [row.sparsity for row in rows], atol=0.007
            )


def test_the_first_metric_of_a_task_is_the_one_below_its_faithfulness(found: Tables) -> None:
    _, lower = split(faithfulness(found.averages, found.performance, ROOMS))
    assert [axes.get_ylabel() for axes in lower] == ["miou ↑", "abs_error ↓", "angle_mean ↓"]


def test_what_the_dense_network_reaches_is_a_faint_line(found: Tables) -> None:
    upper, lower = split(faithfulness(found.averages, found.performance, ROOMS))
    for task, axes in zip(TASKS, upper, strict=True):
        dense = [r.mean for r in found.averages if (r.task, r.sparsity) == (task, 0)]
        assert [line.get_ydata()[0] for line in axes.lines if line.get_alpha() == 0.45] == dense
    assert all(sum(line.get_alpha() == 0.45 for line in axes.lines) == 2 for axes in lower)


def test_without_a_dense_network_there_is_no_faint_line(found: Tables) -> None:
    pruned = [row for row in found.averages if row.sparsity > 0]
    upper, _ = split(faithfulness(pruned, found.performance, ROOMS))
    assert not [line for line in upper[0].lines if line.get_alpha() == 0.45]


def test_one_sparsity_of_one_task_of_one_experiment_is_a_figure(found: Tables) -> None:
    row, metric = found.averages[0], found.performance[0]
    figure = faithfulness([row], [metric], ROOMS)
    assert figure.axes[0].containers[0].lines[0].get_ydata().tolist() == [row.mean]
    assert figure.axes[1].lines[1].get_ydata().tolist() == [metric.value]
    assert png(figure).startswith(b"\x89PNG")


def test_bars_reach_from_the_low_to_the_high_end(found: Tables) -> None:
    bars = faithfulness(found.averages, found.performance, ROOMS).axes[0].containers[0]
    ends = [segment[:, 1].tolist() for segment in bars.lines[2][0].get_segments()]
    rows = found.averages[:3]
    np.testing.assert_allclose(ends, [[row.low, row.high] for row in rows])


def test_an_average_without_items_or_interval_is_drawn_without_a_warning(found: Tables) -> None:
    empty = dataclasses.replace(found.averages[0], items=0, mean=math.nan, low=math.nan)
    single = dataclasses.replace(found.averages[1], images=1, low=math.nan, high=math.nan)
    figure = faithfulness([empty, single], found.performance, ROOMS)
    assert figure.axes[0].containers[0].lines[0].get_ydata().tolist() == [single.mean]
    assert png(figure).startswith(b"\x89PNG")


def test_performance_shows_every_seed_and_the_constant_predictor(found: Tables) -> None:
    axes = next(a for a in performance(found.performance, ROOMS).axes if a.get_ylabel() == "miou ↑")
    assert [line.get_ydata()[0] for line in constants(axes)] == pytest.approx([0.07, 0.07])
    seeds = [line.get_ydata() for line in axes.lines if line.get_marker() == "."]
    values = [row.value for row in found.performance if row.metric == "miou"]
    assert sorted(np.concatenate(seeds)) == sorted(values)
    assert axes.get_title(loc="left") == "segmentation\nrooms"


def test_metrics_on_two_data_sets_have_a_panel_each(found: Tables) -> None:
    figure = faithfulness(found.averages, found.performance, APART)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["segmentation", "depth", "normals", "rooms", "rooms", "rooms", "streets"]
    rooms, streets = (axes for axes in figure.axes if axes.get_ylabel() == "abs_error ↓")
    for axes, experiment in ((rooms, "segnet-hrank"), (streets, "segnet-netslim")):
        values = [
            r.value for r in found.performance
            if (r.experiment, r.metric) == (experiment, "abs_error")
        ]  # fmt: skip
        (seeds,) = (line for line in axes.lines if line.get_marker() == ".")
        assert seeds.get_ydata().tolist() == values
    together, apart = (performance(found.performance, on) for on in (ROOMS, APART))
    assert sum(axes.axison for axes in apart.axes) == 2 + sum(axes.axison for axes in together.axes)


def test_a_constant_predictor_has_the_colour_of_its_experiment(found: Tables) -> None:
    changed = [
        dataclasses.replace(row, constant=0.5) if row.experiment == EXPERIMENTS[1] else row
        for row in found.performance
    ]
    axes = performance(changed, ROOMS).axes[1]
    drawn = {line.get_color(): line.get_ydata()[0] for line in constants(axes)}
    assert drawn == pytest.approx({SERIES[0]: 0.31, SERIES[1]: 0.5})


def test_of_equal_constant_predictors_each_can_be_seen(found: Tables) -> None:
    figure = performance([row for row in found.performance if row.metric == "miou"], ROOMS)
    with style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    (axes,) = figure.axes
    across, up = axes.transData.transform([(0, 0.07), (1, 0.07)]).astype(int).T
    pixels = np.asarray(canvas.buffer_rgba())[-up[0] - 1, slice(*across), :3] / 255
    for colour in SERIES[:2]:
        share = np.isclose(pixels, to_rgb(colour), atol=0.3).all(axis=-1).mean()
        assert 0.25 < share < 0.45


def test_lines_differ_in_marker_as_well_as_in_colour() -> None:
    looks = [series_look(index) for index in range(len(SERIES))]
    assert len({colour for colour, _, _ in looks}) == len({marker for _, marker, _ in looks}) == 7
    assert len({series_look(index) for index in range(21)}) == 21


def test_the_same_numbers_give_the_same_bytes_and_no_date(found: Tables) -> None:
    rows, metrics = found.averages[:2], found.performance[:2]
    first, second = (faithfulness(rows, metrics, ROOMS) for _ in range(2))
    vector = svg(first)
    assert vector == svg(second)
    assert png(first) == png(second)
    assert b"<dc:date>" not in vector


def test_names_are_shown_as_they_are(found: Tables) -> None:
    named = [dataclasses.replace(row, experiment="$5 $x^$ _a_") for row in found.averages]
    figure = faithfulness(named, found.performance, ROOMS)
    assert svg(figure).startswith(b"<?xml")
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["$5 $x^$ _a_", "constant predictor, in the same colour"]


def constants(axes: Axes) -> list[Line2D]:
    """The lines of the constant predictors, without what only the legend shows."""
    return [line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata())]


def split(figure: Figure) -> tuple[list[Axes], list[Axes]]:
    """The panels of the upper row, and of the lower."""
    half = len(figure.axes) // 2
    return figure.axes[:half], figure.axes[half:]
