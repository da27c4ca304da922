from __future__ import annotations

import numpy as np
import xarray as xr

from mtljobs.report.curves import mean_curves

CURVE = xr.DataArray(
    [[1.0, 0.5, 0.2]], dims=["sparsity", "removed"],
    coords={"sparsity": [0.5], "removed": [0, 0.5, 1]},
)  # fmt: skip


def test_curves_leave_out_tasks_that_an_experiment_has_not() -> None:
    figure = mean_curves({("a", "depth"): CURVE, ("b", "normals"): CURVE})
    assert [axes.axison for axes in figure.axes] == [True, False, False, True]
    assert figure.axes[0].xaxis.get_major_formatter()(0.5) == "50 %"
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5, 0.2]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "share of the steps", "", "", "share of the steps",
    ]  # fmt: skip


def test_a_panel_without_any_curve_says_so_and_has_no_axes() -> None:
    nothing = CURVE * np.nan
    young, empty, depth, other = mean_curves(
        {
            ("young", "depth"): nothing,
            ("young", "normals"): nothing,
            ("old", "depth"): CURVE,
            ("old", "normals"): nothing,
        }
    ).axes
    for axes in (young, empty, other):
        assert not axes.axison
        assert [text.get_text() for text in axes.texts] == ["no item has a curve"]
    assert depth.axison
    assert not depth.texts
    assert depth.get_legend() is not None
