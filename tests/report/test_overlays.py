from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from mtljobs.report.overlays import GROUPS, SPARSITIES, lay_over, overlays, upsample
from mtljobs.results import open_run


def test_upsampling_interpolates_between_pixel_centres() -> None:
    # 2 x 1 to 4 x 2: centres at -0.25, 0.25, 0.75, 1.25, the outer two held at the edge.
    resized = upsample(np.array([[0.0], [4.0]]), (4, 2))
    assert resized.tolist() == [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [4.0, 4.0]]


def test_upsampling_to_the_same_size_changes_nothing() -> None:
    values = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(upsample(values, (3, 4)), values)


def test_where_a_map_is_zero_the_grey_image_stays() -> None:
    pixels = np.full((1, 2, 3), 0.5)
    mixed = lay_over(pixels, np.array([[0.0, 2.0]]))
    assert len(set(mixed[0, 0])) == 1
    assert mixed[0, 1, 0] > mixed[0, 1, 2]
    assert ((mixed >= 0) & (mixed <= 1)).all()


def read_texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)]


def test_a_missing_map_says_why_it_is_missing(reported_run) -> None:
    run = open_run(reported_run.root)
    task = run["segnet-netslim/segmentation"].to_dataset().load()
    item = {"sparsity": 0.9, "seed": 0, "image": "test-00000", "group": "bed"}
    task["status"].loc[item] = 3
    figure = overlays(task, run["segnet-netslim/inputs"].to_dataset(), title="")
    texts = read_texts(figure)
    assert texts.count("map all zero") == 1
    assert {"bed\n0 %", "bed\n50 %", "bed\n90 %", "wall\n90 %"} <= set(texts)
    assert len(figure.axes) == 2 * (1 + GROUPS * 3)


def test_without_maps_the_score_of_each_superpixel_is_shown(reported_run) -> None:
    run = open_run(reported_run.root)
    task = run["segnet-netslim/depth"].to_dataset().drop_vars("cam")
    inputs = run["segnet-netslim/inputs"].to_dataset()
    figure = overlays(task, inputs, title="")
    shown = figure.axes[1].get_images()[0].get_array()
    segments = inputs["segments"][0].values
    item = task.isel(sparsity=0, seed=0, image=0, group=0)
    expected = lay_over(inputs["preview"][0].values / 255, item["segment_score"].values[segments])
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (6, SPARSITIES)])
def test_many_sparsities_are_thinned_but_keep_both_ends(reported_run, count, shown) -> None:
    run = open_run(reported_run.root)
    task = run["segnet-netslim/depth"].to_dataset().isel(sparsity=[0])
    labels = np.arange(count) / 10
    many = xr.concat([task.assign_coords(sparsity=[label]) for label in labels], "sparsity",
                     data_vars="minimal")  # fmt: skip
    figure = overlays(many, run["segnet-netslim/inputs"].to_dataset(), title="")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title().startswith("0.00-0.20")]
    assert len(titles) == shown
    assert titles[0].endswith("\n0 %")
    assert titles[-1].endswith(f"\n{10 * (count - 1)} %")


def test_a_group_that_no_shown_image_has_is_not_shown(reported_run) -> None:
    run = open_run(reported_run.root)
    task = run["segnet-netslim/segmentation"].to_dataset().load()
    task["status"].loc[{"group": ["floor", "wall"]}] = 2
    figure = overlays(task, run["segnet-netslim/inputs"].to_dataset(), title="")
    assert {title.split("\n")[0] for title in read_texts(figure)} == {"image", "bed", ""}
