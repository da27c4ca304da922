from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from mtljobs.report.drawing import png
from mtljobs.report.layers import layer_profiles

LAYERS = ["stem", "body", "branches.depth.head", "branches.normals.head"]


@pytest.fixture
def experiment() -> xr.Dataset:
    """Two sparsities, two seeds, four layers."""
    gone = np.array([[[0.0] * 4] * 2, [[0.2, 0.4, 0.6, 0.8], [0.4, 0.6, 0.8, 1.0]]])
    agreed = np.full_like(gone, np.nan)
    agreed[1, :, :2] = [[0.5, 0.7], [0.7, 0.9]]
    axes = ("sparsity", "seed", "layer")
    return xr.Dataset(
        {"layer_sparsity": (axes, gone), "mask_agreement": (axes, agreed)},
        coords={"sparsity": [0.0, 0.5], "seed": [0, 1], "layer": LAYERS},
    )


def test_lines_are_means_over_seeds_by_layer(experiment: xr.Dataset) -> None:
    removed, agreement = layer_profiles(experiment, title="").axes
    dense, pruned = removed.lines
    assert dense.get_ydata().tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(pruned.get_ydata(), [0.3, 0.5, 0.7, 0.9])
    assert list(pruned.get_xdata()) == [1, 2, 3, 4]
    (line,) = agreement.lines
    np.testing.assert_allclose(line.get_ydata(), [0.6, 0.8, np.nan, np.nan])


def test_a_sparsity_looks_the_same_in_both_panels(experiment: xr.Dataset) -> None:
    removed, agreement = layer_profiles(experiment, title="").axes
    looks = {(line.get_color(), line.get_marker()) for line in (removed.lines[1], *agreement.lines)}
    assert len(looks) == 1


def test_the_layers_of_each_task_are_named(experiment: xr.Dataset) -> None:
    axes = layer_profiles(experiment, title="").axes[0]
    named = [(text.get_text(), text.xy[0]) for text in axes.texts]
    assert named == [("shared", 1.5), ("depth", 3), ("normals", 4)]


def test_names_stand_upright_where_branches_are_narrow(experiment: xr.Dataset) -> None:
    deep = experiment.isel(layer=[0] * 60 + [2, 3])
    axes = layer_profiles(deep, title="").axes[0]
    assert {text.get_rotation() for text in axes.texts} == {90}


def test_without_masks_there_is_one_panel(experiment: xr.Dataset) -> None:
    experiment["mask_agreement"][:] = np.nan
    figure = layer_profiles(experiment, title="")
    assert len(figure.axes) == 1
    assert png(figure).startswith(b"\x89PNG")


def test_without_any_number_there_is_no_figure(experiment: xr.Dataset) -> None:
    assert layer_profiles(experiment * np.nan, title="") is None


def test_a_seed_that_is_not_there_yet_is_left_out(experiment: xr.Dataset) -> None:
    experiment["layer_sparsity"][1, 1] = np.nan
    pruned = layer_profiles(experiment, title="").axes[0].lines[1]
    np.testing.assert_allclose(pruned.get_ydata(), [0.2, 0.4, 0.6, 0.8])
