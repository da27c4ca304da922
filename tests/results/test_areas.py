from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from mtljobs.results import aoc, mean_curve, quantus

NAN = float("nan")


def make_items(curves: list[list[float]], status: list[int], segments: list[int]) -> xr.Dataset:
    """One group, an image per curve."""
    return xr.Dataset(
        {
            "irof": (("image", "group", "step"), np.array(curves, "float32")[:, None]),
            "status": (("image", "group"), np.array(status, "uint8")[:, None]),
        },
        coords={"n_segments": ("image", np.array(segments, "uint16"))},
    )


def test_aoc_of_a_straight_fall_is_one_half() -> None:
    items = make_items([[1.0, 0.5, 0.0]], [1], [2])
    assert aoc(items).item() == 0.5


def test_aoc_is_zero_where_nothing_falls_and_negative_where_the_score_rises() -> None:
    items = make_items([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]], [1, 1], [2, 2])
    # Trapezoid of 1 - p = (0, -1, 0) is -1, over a length of 2.
    assert aoc(items).values.ravel().tolist() == [0.0, -0.5]


def test_padding_after_the_last_superpixel_does_not_count() -> None:
    items = make_items([[1.0, 0.5, 0.0, NAN, NAN], [1.0, 0.0, 0.0, 0.0, 0.0]], [1, 1], [2, 4])
    # Second image: (0.5 + 1 + 1 + 1) / 4.
    assert aoc(items).values.ravel().tolist() == [0.5, 0.875]


def test_quantus_number_is_its_own_integral() -> None:
    curves = [[1.0, 0.5, 0.0, NAN], [1.0, 0.75, 0.5, 0.25]]
    items = make_items(curves, [1, 1], [2, 3])
    # L - trapezoid of p_1..p_L: 2 - 0.25, and 3 - (0.625 + 0.375).
    assert quantus(items).values.ravel().tolist() == [1.75, 2.0]


def test_a_constant_model_has_the_quantus_number_one() -> None:
    assert quantus(make_items([[1.0] * 6], [1], [5])).item() == 1.0


@pytest.mark.parametrize("status", [0, 2, 3, 4, 5, 6, 7, 8])
def test_only_status_ok_has_areas(status: int) -> None:
    items = make_items([[1.0, 0.5, 0.0]], [status], [2])
    assert np.isnan(aoc(items).item())
    assert np.isnan(quantus(items).item())


def test_a_nan_inside_a_curve_is_not_skipped() -> None:
    assert np.isnan(aoc(make_items([[1.0, NAN, 0.0]], [1], [2])).item())


def test_an_unreadable_image_without_superpixels_has_no_area_and_no_warning() -> None:
    items = make_items([[NAN, NAN, NAN], [1.0, 0.5, 0.0]], [8, 1], [0, 2])
    np.testing.assert_array_equal(aoc(items).values.ravel(), [NAN, 0.5])
    assert mean_curve(items, points=3).values.tolist() == [1.0, 0.5, 0.0]


def test_curves_cut_short_are_refused() -> None:
    items = make_items([[1.0, 0.5, 0.0]], [1], [2]).isel(step=slice(2))
    with pytest.raises(ValueError, match=r"end at step 1.*2 superpixels"):
        aoc(items)


def test_areas_without_the_number_of_superpixels_say_how_to_get_it() -> None:
    items = make_items([[1.0, 0.5, 0.0]], [1], [2]).drop_vars("n_segments")
    with pytest.raises(ValueError, match="open_run"):
        aoc(items)


def test_mean_curve_reads_each_image_at_equal_shares_of_its_superpixels() -> None:
    curves = [[1.0, 0.5, 0.0, NAN, NAN], [1.0, 0.9, 0.8, 0.7, 0.6], [1.0, 0.0, 0.0, 0.0, 0.0]]
    items = make_items(curves, [1, 1, 3], [2, 4, 4])
    # At a quarter: 0.75 between the first image's steps 0 and 1, and 0.9; the third is not ok.
    expected = [1.0, (0.75 + 0.9) / 2, (0.5 + 0.8) / 2, (0.25 + 0.7) / 2, (0.0 + 0.6) / 2]
    np.testing.assert_allclose(mean_curve(items, points=5), expected, rtol=1e-6)


def test_mean_curve_without_any_item_is_nan_without_a_warning() -> None:
    assert np.isnan(mean_curve(make_items([[NAN] * 3], [2], [2]))).all()


@pytest.mark.parametrize("measure", ["irof", "irof_quantus"])
def test_quantus_number_is_that_of_either_engine(measure: str) -> None:
    items = make_items([[1.0, 0.5, 0.0]], [1], [2]).assign_attrs(faithfulness=measure)
    assert quantus(items).item() == 1.75


def test_curves_of_another_measure_have_an_area_and_no_quantus_number() -> None:
    items = make_items([[1.0, 0.5, 0.0]], [1], [2]).assign_attrs(faithfulness="pixel_flipping")
    assert aoc(items).item() == 0.5
    assert np.isnan(quantus(items).item())
    assert quantus(items).dims == aoc(items).dims
