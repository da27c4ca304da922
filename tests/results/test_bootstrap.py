from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mtljobs.results.bootstrap import spread_over_images


def make_images(images: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    counts = generator.integers(1, 9, images)
    return generator.normal(0.6, 0.1, images) * counts, counts


@pytest.mark.parametrize("images", [2, 40])
def test_the_spread_is_scipys_own(images: int) -> None:
    sums, counts = make_images(images)
    expected = stats.bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis),
        paired=True,
        n_resamples=999,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = expected.confidence_interval
    found = spread_over_images(sums, counts, resamples=999)
    assert found == pytest.approx((interval.low, interval.high, expected.standard_error))


def test_the_interval_holds_the_mean_and_is_the_same_on_every_call() -> None:
    sums, counts = make_images(40)
    spread = spread_over_images(sums, counts, resamples=999)
    assert spread.low < sums.sum() / counts.sum() < spread.high
    assert spread == spread_over_images(sums, counts, resamples=999)


def test_the_standard_error_of_single_items_is_the_textbooks() -> None:
    values = np.random.default_rng(1).normal(size=400)
    spread = spread_over_images(values, np.ones(400), resamples=9999)
    assert spread.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(400), rel=0.02)


def test_the_interval_draws_images_not_items() -> None:
    # Twenty items that agree within each of two images say as much as two numbers.
    spread = spread_over_images(np.array([0.0, 10.0]), np.array([10, 10]), resamples=999)
    assert spread[:2] == (0.0, 1.0)
    assert spread.standard_error == pytest.approx(math.sqrt(1 / 8), rel=0.05)


def test_images_without_items_are_not_drawn() -> None:
    some = spread_over_images(np.array([1.0, 2.0, 3.0]), np.array([4, 4, 4]), resamples=999)
    more = spread_over_images(np.array([1.0, 0, 2.0, 3.0]), np.array([4, 0, 4, 4]), resamples=999)
    assert some == more


def test_one_image_has_no_spread() -> None:
    spread = spread_over_images(np.array([0.5, 0.0]), np.array([1, 0]), resamples=999)
    assert all(map(math.isnan, spread))
