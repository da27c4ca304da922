from __future__ import annotations

import numpy as np

from mtljobs.data.street.stereo import RANGE, disparity_of, unmatched, unseen


def test_disparity_of_cityscapes_own_cameras() -> None:
    # 0.22 m and 1.1 x 2048 pixels: at 10 m a point moves by 49.56 pixels, 256 to the unit.
    np.testing.assert_allclose(disparity_of(np.array([[10.0]])) * 256, 0.22 * 1.1 * 2048 / 10)


def test_background_left_of_something_near_is_unseen() -> None:
    disparity = np.zeros((1, 64))
    disparity[0, 30:40] = 0.5  # half an eighth of 64 pixels: 4 pixels
    assert np.flatnonzero(unseen(disparity)).tolist() == [26, 27, 28, 29]


def test_left_border_is_outside_the_right_image() -> None:
    disparity = np.full((1, 64), 0.25)  # 2 pixels
    assert np.flatnonzero(unseen(disparity)).tolist() == [0, 1]


def test_slanted_plane_is_seen_by_both_cameras() -> None:
    disparity = np.linspace(0.0, 0.45, 64)[None]  # a wall that comes nearer to the right
    assert not unseen(disparity).any()


def test_too_near_and_unlucky_pixels_are_unmatched() -> None:
    disparity = np.full((40, 64), 0.1)
    disparity[:, 60:] = RANGE + 0.01
    missing = np.zeros((40, 64))
    missing[:, 20:30] = 1.0
    holes = unmatched(disparity, np.random.default_rng(0), missing=missing)
    assert holes[:, 60:].all()
    assert holes[:, 20:30].all()
    assert holes[:, 5:20].mean() < 0.1
