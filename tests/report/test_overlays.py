from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from mtljobs.report.overlays import (
    GROUPS,
    SPARSITIES,
    lay_over,
    overlays,
    richest_image,
)
from mtljobs.results import open_run
from mtljobs.results.maps import upsample


def test_where_a_map_is_zero_the_grey_image_stays() -> None:
    pixels = np.full((1, 2, 3), 0.5)
    mixed = lay_over(pixels, np.array([[0.0, 2.0]]))
    assert len(set(mixed[0, 0])) == 1
    assert mixed[0, 1, 0] > mixed[0, 1, 2]
    assert ((mixed >= 0) & (mixed <= 1)).all()


@pytest.fixture
def node(stored_run) -> xr.DataTree:
    return open_run(stored_run.root)["segnet-netslim"]


def read(node: xr.DataTree, task: str) -> tuple[xr.Dataset, xr.Dataset]:
    """A task's arrays in memory, which a test may change, and the experiment's inputs."""
    return node[task].to_dataset().load(), node["inputs"].to_dataset()


def by_place(figure: Figure, rows: int) -> list[list[Axes]]:
    *panels, _scale = figure.axes
    columns = len(panels) // rows
    return [panels[row * columns : (row + 1) * columns] for row in range(rows)]


def test_a_row_per_sparsity_and_a_column_per_group(node: xr.DataTree) -> None:
    task, inputs = read(node, "depth")
    grid = by_place(overlays(task, inputs, title="segnet: depth"), rows=3)
    assert [row[0].get_ylabel() for row in grid] == ["0 %", "50 %", "90 %"]
    assert [axes.get_title() for axes in grid[0]] == ["image", *task["group"].values]
    pixels = inputs["preview"][1].values / 255
    for row, sparsity in zip(grid, (0.0, 0.5, 0.9), strict=True):
        for axes, group in zip(row[1:], task["group"].values, strict=True):
            item = task.sel(sparsity=sparsity, group=group, seed=0, image="test-00001")
            expected = lay_over(pixels, upsample(item["cam"].values, (64, 64)))
            np.testing.assert_array_equal(axes.get_images()[0].get_array(), expected)


def test_the_first_image_with_most_maps_is_shown(node: xr.DataTree) -> None:
    task, inputs = read(node, "normals")
    task["status"][:] = 1
    assert richest_image(task, inputs) == "test-00000"
    task["status"].loc[{"seed": 0, "image": "test-00000", "group": "+++", "sparsity": 0.5}] = 2
    task["status"].loc[{"seed": 1, "image": "test-00001"}] = 2
    assert richest_image(task, inputs) == "test-00001"
    assert "image test-00001" in overlays(task, inputs, title="").get_suptitle()


def test_a_missing_map_says_why_it_is_missing(node: xr.DataTree) -> None:
    task, inputs = read(node, "segmentation")
    item = {"sparsity": 0.9, "seed": 0, "image": "test-00001", "group": "bed"}
    task["status"].loc[item] = 3
    task["status"].loc[{"seed": 0, "image": "test-00000"}] = 2
    grid = by_place(overlays(task, inputs, title=""), rows=3)
    assert [text.get_text() for text in grid[2][1].texts] == ["map all zero"]
    assert not [axes for row in grid for axes in row if axes.texts and axes is not grid[2][1]]


def test_without_maps_the_score_of_each_superpixel_is_shown(node: xr.DataTree) -> None:
    task, inputs = read(node, "depth")
    figure = overlays(task.drop_vars("cam"), inputs, title="")
    shown = figure.axes[1].get_images()[0].get_array()
    segments = inputs["segments"][1].values
    item = task.isel(sparsity=0, seed=0, image=1, group=0)
    expected = lay_over(inputs["preview"][1].values / 255, item["segment_score"].values[segments])
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (SPARSITIES, 6), (8, SPARSITIES)])
def test_many_sparsities_are_thinned_but_keep_both_ends(
    node: xr.DataTree, count: int, shown: int
) -> None:
    task, inputs = read(node, "depth")
    dense = task.isel(sparsity=[0], group=[0])
    labels = np.arange(count) / 10
    many = xr.concat([dense.assign_coords(sparsity=[label]) for label in labels], "sparsity",
                     data_vars="minimal")  # fmt: skip
    labelled = [axes.get_ylabel() for axes in overlays(many, inputs, title="").axes[:-1:2]]
    assert len(labelled) == shown
    assert labelled[0] == "0 %"
    assert labelled[-1] == f"{10 * (count - 1)} %"


def test_of_many_groups_those_with_most_maps_are_shown_in_their_own_order(
    node: xr.DataTree,
) -> None:
    task, inputs = read(node, "segmentation")
    bed = task.sel(group=["bed"], sparsity=[0.0, 0.5])
    names = [f"class_{number:02d} $wardrobe$" for number in range(40)]
    many = xr.concat([bed.assign_coords(group=[name]) for name in names], "group",
                     data_vars="minimal")  # fmt: skip
    many["status"][:] = 2
    many["status"].loc[{"group": names[3:20]}] = 1
    many["status"].loc[{"group": names[3], "sparsity": 0.5}] = 2
    top = by_place(overlays(many, inputs, title=""), rows=2)[0]
    assert len(top) == 1 + GROUPS
    assert [axes.get_title()[:8] for axes in top[1:]] == [name[:8] for name in names[4:12]]


def test_a_group_that_the_shown_image_has_not_is_not_shown(node: xr.DataTree) -> None:
    task, inputs = read(node, "segmentation")
    task["status"].loc[{"group": ["floor", "wall"]}] = 2
    titles = [axes.get_title() for axes in overlays(task, inputs, title="").axes]
    assert set(titles) == {"image", "bed", ""}


def test_a_scale_says_what_the_colours_are(node: xr.DataTree) -> None:
    scale = overlays(*read(node, "depth"), title="").axes[-1]
    assert scale.get_xlabel() == "share of the map's maximum"
    assert scale.get_xlim() == (0, 1)
    (mesh,) = (part for part in scale.collections if isinstance(part, QuadMesh))
    shown = mesh.cmap(mesh.norm([0.0, 1.0]))[:, :3]
    mid_grey = np.full((1, 2, 3), 0.5)
    np.testing.assert_allclose(shown, lay_over(mid_grey, np.array([[0.0, 1.0]]))[0])


def test_an_image_without_any_map_says_so(node: xr.DataTree) -> None:
    task, inputs = read(node, "segmentation")
    task["status"][:] = 4
    texts = [
        text.get_text() for axes in overlays(task, inputs, title="").axes for text in axes.texts
    ]
    assert texts == ["map not\nfinite"] * 3
