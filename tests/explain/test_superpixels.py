"""Superpixels are Quantus's, and refuse what SLIC cannot take."""

from __future__ import annotations

import numpy as np
import pytest
from quantus.helpers.utils import get_superpixel_segments

from mtljobs.errors import DataError
from mtljobs.explain.superpixels import SLIC


@pytest.fixture
def slic():
    return SLIC(n_segments=100, compactness=10.0)


def test_segments_are_those_of_quantus(slic, image):
    reference = get_superpixel_segments(
        img=np.moveaxis(image, 0, -1).astype("double"), segmentation_method="slic"
    )
    assert np.array_equal(slic.segments(image), reference)


def test_segments_are_numbered_from_zero_without_gaps(slic, image):
    segments = slic.segments(image)
    assert segments.dtype == np.uint16
    assert segments.shape == (24, 32)
    assert np.array_equal(np.unique(segments), np.arange(segments.max() + 1))


def test_fewer_segments_are_made_where_fewer_are_asked_for(slic, image):
    few = SLIC(n_segments=40, compactness=10.0).segments(image)
    assert 1 < few.max() + 1 < slic.segments(image).max() + 1


def test_an_image_of_one_colour_is_cut_into_a_grid(slic):
    assert slic.segments(np.full((3, 24, 32), 0.5, dtype=np.float32)).max() > 50


def test_a_pixel_that_is_not_finite_is_named(slic, image):
    image[1, 5, 7] = np.nan
    with pytest.raises(DataError, match=r"row 5, column 7, channel 1 \(nan\)"):
        slic.segments(image)
