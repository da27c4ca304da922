from __future__ import annotations

import xarray as xr

from mtljobs.report.curves import mean_curves


def test_curves_leave_out_tasks_that_an_experiment_has_not() -> None:
    curve = xr.DataArray(
        [[1.0, 0.5, 0.2]], dims=["sparsity", "removed"],
        coords={"sparsity": [0.5], "removed": [0, 0.5, 1]},
    )  # fmt: skip
    figure = mean_curves({("a", "depth"): curve, ("b", "normals"): curve})
    assert [axes.axison for axes in figure.axes] == [True, False, False, True]
    assert figure.axes[0].xaxis.get_major_formatter()(0.5) == "50 %"
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5, 0.2]
