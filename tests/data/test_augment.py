from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mtljobs.data.augment import Augmentation, flip, zoom_in
from mtljobs.settings.base import derive_seed

WHOLE = slice(None)


def draw_of(epoch):
    return lambda purpose: derive_seed(0, purpose, epoch)


def drawn(**numbers):
    """A draw of numbers that are given by purpose."""
    return lambda purpose: numbers[purpose.replace(" ", "_")]


def sample_of(rows, columns):
    draw = np.random.default_rng(0)
    normals = draw.normal(size=(3, rows, columns)).astype(np.float32)
    return {
        "image": draw.random((3, rows, columns), dtype=np.float32),
        "segmentation": draw.integers(-1, 5, (rows, columns)),
        "depth": draw.random((1, rows, columns), dtype=np.float32),
        "normals": normals / np.linalg.norm(normals, axis=0),
    }


class TestMirror:
    def test_it_swaps_columns_of_everything_and_turns_the_x_of_normals(self):
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
    def test_twice_gives_the_sample_back_and_leaves_it_alone(self, columns):
        normals = np.random.default_rng(0).normal(size=(3, 2, columns)).astype(np.float32)
        sample = {"normals": normals.copy()}
        np.testing.assert_array_equal(flip(flip(sample))["normals"], normals)
        np.testing.assert_array_equal(sample["normals"], normals)

    def test_sample_without_normals_is_mirrored_too(self):
        assert flip({"segmentation": np.array([[1, 2]])})["segmentation"].tolist() == [[2, 1]]


class TestZoom:
    # Columns 1 to 3 of five, spread over five: 1, 1.5, 2, 2.5, 3.
    WINDOW = (WHOLE, slice(1, 4))

    def test_image_is_interpolated_between_the_windows_outer_pixels(self):
        sample = {"image": np.array([[[9, 1, 3, 7, 9]]] * 3, np.float32)}
        zoomed = zoom_in(sample, self.WINDOW, depth_factor=1.0, exact=False)
        assert zoomed["image"][0].tolist() == [[1, 2, 3, 5, 7]]

    @pytest.mark.parametrize(
        ("exact", "labels"),
        [
            (False, [[1, 1, -1, -1, 3]]),  # columns 1 + floor(0, .6, 1.2, 1.8, 2.4)
            (True, [[1, -1, -1, 3, 3]]),  # columns 1 + 0, .5, 1, 1.5, 2, a half upwards
        ],
    )
    def test_labels_and_depths_are_picked_never_mixed(self, exact, labels):
        sample = {
            "image": np.zeros((3, 1, 5), np.float32),
            "segmentation": np.array([[0, 1, -1, 3, 4]]),
            "depth": np.array([[[9, 1, 0, 3, 9]]], np.float32),
        }
        zoomed = zoom_in(sample, self.WINDOW, depth_factor=0.5, exact=exact)
        assert zoomed["segmentation"].tolist() == labels
        assert zoomed["segmentation"].dtype == np.int64
        expected = [[{1: 0.5, -1: 0.0, 3: 1.5}[label] for label in labels[0]]]
        assert zoomed["depth"][0].tolist() == expected

    def test_exact_normals_keep_their_length_and_are_not_mixed_with_invalid_ones(self):
        # z, invalid, x: at the halves a normal is pulled from one side alone.
        normals = np.zeros((3, 1, 5), np.float32)
        normals[2, 0, 1] = normals[0, 0, 3] = 1
        sample = {"image": np.zeros((3, 1, 5), np.float32), "normals": normals}
        exact = zoom_in(sample, self.WINDOW, depth_factor=1.0, exact=True)["normals"][:, 0]
        assert exact.T.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]]
        released = zoom_in(sample, self.WINDOW, depth_factor=1.0, exact=False)["normals"][:, 0]
        assert released.T.tolist() == [[0, 0, 1], [0, 0, 0.5], [0, 0, 0], [0.5, 0, 0], [1, 0, 0]]

    def test_exact_normal_between_two_directions_is_a_unit_vector(self):
        normals = np.zeros((3, 1, 3), np.float32)
        normals[2, 0, 0] = normals[0, 0, 1] = 1
        sample = {"image": np.zeros((3, 1, 3), np.float32), "normals": normals}
        zoomed = zoom_in(sample, (WHOLE, slice(0, 2)), depth_factor=1.0, exact=True)
        half = np.sqrt(0.5)
        np.testing.assert_allclose(zoomed["normals"][:, 0, 1], [half, 0, half], rtol=1e-6)

    @pytest.mark.parametrize("size", [(3, 4), (2, 7)])
    def test_released_mode_does_as_torch_with_and_without_aligned_corners(self, size):
        sample = sample_of(6, 9)
        window = slice(1, 1 + size[0]), slice(2, 2 + size[1])
        zoomed = zoom_in(sample, window, depth_factor=1.0, exact=False)
        for name in ("image", "normals"):
            part = torch.from_numpy(sample[name])[None, :, *window]
            expected = functional.interpolate(part, (6, 9), mode="bilinear", align_corners=True)
            np.testing.assert_allclose(zoomed[name], expected[0], atol=1e-6)
        part = torch.from_numpy(sample["depth"])[None, :, *window]
        np.testing.assert_array_equal(
            zoomed["depth"], functional.interpolate(part, (6, 9), mode="nearest")[0]
        )


class TestAugmentation:
    @pytest.mark.parametrize(
        ("zoom", "unit", "factor"),
        [("mtan", "m", 0.5), ("mtan", "disparity", 0.5), ("exact", "m", 0.5),
         ("exact", "disparity", 2.0)],
    )  # fmt: skip
    def test_what_looks_twice_as_large_is_half_as_far(self, zoom, unit, factor):
        augment = Augmentation(scales=(1.0, 2.0), flip=False, zoom=zoom, depth_unit=unit)
        sample = {**sample_of(4, 4), "depth": np.full((1, 4, 4), 3, np.float32)}
        numbers = drawn(scale=1, zoom_row=1, zoom_column=2)
        np.testing.assert_array_equal(augment(sample, numbers)["depth"], np.float32(3 * factor))

    def test_window_is_the_drawn_one(self):
        augment = Augmentation(scales=(2.0,), flip=True, zoom="exact", depth_unit="m")
        sample = sample_of(4, 4)
        numbers = drawn(scale=7, zoom_row=2, zoom_column=3 * 5 + 1, flip=4)
        corners = augment(sample, numbers)["image"][:, ::3, ::3]
        np.testing.assert_array_equal(corners, sample["image"][:, 2:4, 1:3])

    def test_nothing_asked_for_is_the_sample_itself(self):
        augment = Augmentation(scales=(1.0,), flip=False, zoom="mtan", depth_unit="m")
        sample = sample_of(4, 4)
        assert augment(sample, draw_of(0)) is sample

    def test_all_scales_and_mirrorings_come_about_equally_often(self):
        augment = Augmentation(scales=(1.0, 2.0), flip=True, zoom="mtan", depth_unit="m")
        ramp = np.broadcast_to(np.arange(4, dtype=np.float32), (3, 4, 4))
        slopes = [
            float(augment({"image": ramp}, draw_of(epoch))["image"][0, 0, [0, -1]] @ [-1, 1])
            for epoch in range(400)
        ]
        values, counts = np.unique(slopes, return_counts=True)
        assert values.tolist() == [-3, -1, 1, 3]
        assert counts.min() > 70

    @pytest.mark.parametrize("zoom", ["mtan", "exact"])
    def test_types_and_shapes_stay_and_the_sample_is_left_alone(self, zoom):
        augment = Augmentation(scales=(1.2, 1.5), flip=True, zoom=zoom, depth_unit="m")
        sample, untouched = sample_of(7, 10), sample_of(7, 10)
        for epoch in range(8):
            for name, values in augment(sample, draw_of(epoch)).items():
                assert (values.dtype, values.shape) == (sample[name].dtype, sample[name].shape)
                assert values.flags.c_contiguous
        for name, values in untouched.items():
            np.testing.assert_array_equal(sample[name], values)


@pytest.mark.parametrize("exact", [True, False])
def test_zoom_that_mirrors_too_gives_what_one_after_the_other_gives(exact):
    window = slice(1, 8), slice(2, 11)
    sample = sample_of(9, 12)
    one, other = (
        zoom_in(sample, window, depth_factor=0.5, exact=exact, mirror=mirror)
        for mirror in (False, True)
    )
    for name, values in flip(one).items():
        np.testing.assert_array_equal(other[name], values)
