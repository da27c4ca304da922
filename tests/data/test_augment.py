from __future__ import annotations

import numpy as np
import pytest

from mtljobs.data.augment import flip


def test_mirror_swaps_columns_of_everything_and_turns_the_x_of_normals() -> None:
    sample = {
        "image": np.array([[[0.1, 0.2]], [[0.3, 0.4]], [[0.5, 0.6]]], np.float32),
        "segmentation": np.array([[4, -1]]),
        "depth": np.array([[[2.0, 0.0]]], np.float32),
        "normals": np.array([[[0.6, 0.0]], [[0.0, 0.0]], [[-0.8, 0.0]]], np.float32),
    }
    mirrored = flip(sample)
    expected = {
        "image": [[[0.2, 0.1]], [[0.4, 0.3]], [[0.6, 0.5]]],
        "segmentation": [[-1, 4]],
        "depth": [[[0.0, 2.0]]],
        "normals": [[[0.0, -0.6]], [[0.0, 0.0]], [[0.0, -0.8]]],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(mirrored[name], np.array(values, sample[name].dtype))
        assert mirrored[name].dtype == sample[name].dtype


@pytest.mark.parametrize("columns", [1, 3])
def test_mirroring_twice_gives_the_sample_back_and_leaves_it_alone(columns: int) -> None:
    normals = np.random.default_rng(0).normal(size=(3, 2, columns)).astype(np.float32)
    sample = {"normals": normals.copy()}
    np.testing.assert_array_equal(flip(flip(sample))["normals"], normals)
    np.testing.assert_array_equal(sample["normals"], normals)


def test_sample_without_normals_is_mirrored_too() -> None:
    assert flip({"segmentation": np.array([[1, 2]])})["segmentation"].tolist() == [[2, 1]]
