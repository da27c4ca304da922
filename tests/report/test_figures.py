from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import xarray as xr

from mtljobs.report.drawing import MARKERS, SERIES, png, series_look, svg
from mtljobs.report.figures import faithfulness, mean_curves, performance
from mtljobs.results import Tables, read_tables


@pytest.fixture(scope="module")
def found(reported_run) -> Tables:
    return read_tables(reported_run, allow_partial=False)


def test_faithfulness_has_a_panel_per_task_and_a_line_per_experiment(found: Tables) -> None:
    panels = faithfulness(found.averages).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["segmentation", "depth", "normals"]
    for axes in panels:
        task = axes.get_title(loc="left")
        drawn = [bars.lines[0].get_ydata().tolist() for bars in axes.containers]
        for experiment, means in zip(("segnet-hrank", "segnet-netslim"), drawn, strict=True):
            rows = [r for r in found.averages if (r.experiment, r.task) == (experiment, task)]
            assert means == [row.mean for row in rows]


def test_bars_reach_from_the_low_to_the_high_end(found: Tables) -> None:
    bars = faithfulness(found.averages).axes[0].containers[0]
    ends = [segment[:, 1].tolist() for segment in bars.lines[2][0].get_segments()]
    rows = found.averages[:3]
    np.testing.assert_allclose(ends, [[row.low, row.high] for row in rows])


def test_an_average_without_items_or_interval_is_drawn_without_a_warning(found: Tables) -> None:
    empty = dataclasses.replace(found.averages[0], items=0, mean=math.nan, low=math.nan)
    single = dataclasses.replace(found.averages[1], images=1, low=math.nan, high=math.nan)
    figure = faithfulness([empty, single])
    assert figure.axes[0].containers[0].lines[0].get_ydata().tolist() == [single.mean]
    assert png(figure).startswith(b"\x89PNG")


def test_performance_shows_every_seed_and_the_constant_predictor(found: Tables) -> None:
    axes = next(a for a in performance(found.performance).axes if "miou" in a.get_title(loc="left"))
    dashed = [line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert [float(line.get_ydata()[0]) for line in dashed] == pytest.approx([0.07])
    seeds = [line.get_ydata() for line in axes.lines if line.get_marker() == "."]
    values = [row.value for row in found.performance if row.metric == "miou"]
    assert sorted(np.concatenate(seeds)) == sorted(values)
    assert axes.get_title(loc="left") == "segmentation: miou ↑"


def test_lines_differ_in_marker_as_well_as_in_colour() -> None:
    looks = [series_look(index) for index in range(len(SERIES))]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks})
    assert len(MARKERS) == len(SERIES) == 7


def test_curves_leave_out_tasks_that_an_experiment_has_not() -> None:
    curve = xr.DataArray(
        [[1.0, 0.5, 0.2]], dims=["sparsity", "removed"],
        coords={"sparsity": [0.5], "removed": [0, 0.5, 1]},
    )  # fmt: skip
    figure = mean_curves({("a", "depth"): curve, ("b", "normals"): curve})
    assert [axes.axison for axes in figure.axes] == [True, False, False, True]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5, 0.2]


def test_the_same_numbers_give_the_same_bytes_and_no_date(found: Tables) -> None:
    first, second = (faithfulness(found.averages) for _ in range(2))
    assert svg(first) == svg(second)
    assert png(first) == png(second)
    assert b"<dc:date>" not in svg(first)


def test_dollar_signs_in_names_are_not_formulas(found: Tables) -> None:
    named = [dataclasses.replace(row, experiment="$5 $x^$") for row in found.averages]
    assert svg(faithfulness(named)).startswith(b"<?xml")
