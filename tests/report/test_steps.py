from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from mtljobs.report.steps import removal_steps, step_images
from mtljobs.results import aoc, open_run


@pytest.fixture
def task(stored_run) -> xr.Dataset:
    return open_run(stored_run.root)["segnet-netslim/segmentation"].to_dataset().load()


@pytest.fixture
def inputs(stored_run) -> xr.Dataset:
    return open_run(stored_run.root)["segnet-netslim/inputs"].to_dataset()


def draw(task: xr.Dataset, inputs: xr.Dataset, *, fill: str = "drifting") -> Figure:
    figure = removal_steps(task, inputs, fill=fill, title="segnet: segmentation")
    assert figure is not None
    return figure


IMAGE = np.array([[[0.0, 0.2], [0.2, 0.4], [0.4, 0.6], [0.8, 1.0]]])
SEGMENTS = np.array([[0, 1, 1, 2]])
"""Means 0.1, 0.4 and 0.9; of all 0.45, and of the channels 0.35 and 0.55."""


def test_a_drifting_fill_is_the_mean_of_the_image_as_it_is() -> None:
    states = list(step_images(IMAGE, SEGMENTS, np.array([2, 0]), fill="drifting"))
    # 0.45 for the last pixel, then (0.1 + 2 * 0.4 + 0.45) / 4 for the first.
    np.testing.assert_allclose(states[1][0, 3], 0.45)
    np.testing.assert_allclose(states[2][0, 0], 0.3375)
    np.testing.assert_array_equal(states[2][0, 1:3], IMAGE[0, 1:3])


@pytest.mark.parametrize(("fill", "value"), [("clean", [0.45, 0.45]), ("channels", [0.35, 0.55])])
def test_a_fill_of_the_clean_image_does_not_drift(fill: str, value: list[float]) -> None:
    *_, last = step_images(IMAGE, SEGMENTS, np.array([2, 0, 1]), fill=fill)
    np.testing.assert_allclose(last[0], [value] * 4)


STEPS = [0, 3, 6, 9, 11, 14, 17, 20]
"""The image with most maps has 20 superpixels: sevenths of 20, rounded."""


def test_each_shown_image_is_the_one_of_its_step(task: xr.Dataset, inputs: xr.Dataset) -> None:
    figure = draw(task, inputs)
    order = task["order"].sel(image="test-00001")[0, 0, 0].values[:20]
    states = list(
        step_images(
            inputs["preview"][1].values / 255, inputs["segments"][1].values, order, fill="drifting"
        )
    )
    assert [axes.get_title() for axes in figure.axes[:8]] == [f"step {k} of 20" for k in STEPS]
    for axes, step in zip(figure.axes[:8], STEPS, strict=True):
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), states[step])


def test_the_curve_has_a_dot_for_each_image_and_its_area_is_printed(
    task: xr.Dataset, inputs: xr.Dataset
) -> None:
    below = draw(task, inputs).axes[-1]
    item = task.isel(sparsity=0, seed=0, image=1, group=0)
    curve, dots, _ = below.lines
    assert curve.get_ydata().tolist() == item["irof"].values[:21].tolist()
    assert dots.get_xdata().tolist() == STEPS
    assert dots.get_ydata().tolist() == item["irof"].values[dots.get_xdata()].tolist()
    assert below.get_title(loc="left").startswith(f"AOC = {float(aoc(item)):.3f}:")
    shaded, hatched = below.collections
    corners = shaded.get_paths()[0].vertices
    assert corners[:, 1].max() == 1
    assert corners[:, 1].min() == pytest.approx(item["irof"].values[:21].min())
    assert hatched.get_paths() == []


def test_what_lies_above_1_is_hatched_and_has_another_colour(
    task: xr.Dataset, inputs: xr.Dataset
) -> None:
    task["irof"].loc[{"image": "test-00001"}] = [1, 0.9, *[1.3] * 31]
    shaded, hatched = draw(task, inputs).axes[-1].collections
    assert (shaded.get_hatch(), hatched.get_hatch()) == (None, "////")
    assert shaded.get_facecolor().tolist() != hatched.get_facecolor().tolist()
    (below,), (above,) = shaded.get_paths(), hatched.get_paths()
    # From 0.9 at step 1 to 1.3 at step 2: 1 is passed at 1.25.
    assert (below.vertices[:, 0].max(), below.vertices[:, 1].min()) == pytest.approx((1.25, 0.9))
    assert (above.vertices[:, 0].min(), above.vertices[:, 1].max()) == pytest.approx((1.25, 1.3))


def test_the_first_item_with_a_curve_is_shown(task: xr.Dataset, inputs: xr.Dataset) -> None:
    task["status"].loc[{"sparsity": 0.0, "seed": 0}] = 2
    task["status"].loc[{"seed": 0, "image": "test-00000", "group": "bed"}] = 3
    task["status"].loc[{"seed": 0, "image": "test-00001", "group": ["bed", "wall"]}] = 3
    title = draw(task, inputs).get_suptitle()
    assert title == "segnet: segmentation\nimage test-00000, group floor, sparsity 50 %"


def test_fewer_superpixels_than_places_are_each_shown_once(
    task: xr.Dataset, inputs: xr.Dataset
) -> None:
    task["n_segments"][1] = 3
    titles = [axes.get_title() for axes in draw(task, inputs, fill="clean").axes[:-1]]
    assert titles == [f"step {step} of 3" for step in range(4)]


def test_without_any_curve_there_is_no_figure(task: xr.Dataset, inputs: xr.Dataset) -> None:
    task["status"][:] = 2
    assert removal_steps(task, inputs, fill="drifting", title="") is None
