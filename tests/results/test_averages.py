from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from mtljobs.results.averages import average


def make_items(areas: list[list[list[float]]], status: list[list[list[int]]]) -> xr.Dataset:
    """Items along seed, image, group."""
    axes = ("seed", "image", "group")
    groups = ["bed", "wall"][: np.shape(areas)[-1]]
    return xr.Dataset(
        {"aoc": (axes, areas), "quantus": (axes, np.array(areas) * 10), "status": (axes, status)},
        coords={"sparsity": 0.5, "group": groups},
    )


# Two seeds, three images, two groups; the third image has no bed in seed 0 and nothing in seed 1.
AREAS = [[[0.1, 0.2], [0.3, 0.4], [9.0, 0.6]], [[0.3, 0.4], [0.5, 0.6], [9.0, 9.0]]]
STATUS = [[[1, 1], [1, 1], [2, 1]], [[1, 1], [1, 1], [2, 3]]]


def test_the_mean_weighs_every_item_with_status_ok_alike() -> None:
    row = average(make_items(AREAS, STATUS), experiment="e", task="t", reached={})
    # 0.1 + 0.2 + 0.3 + 0.4 + 0.6 and 0.3 + 0.4 + 0.5 + 0.6, nine items.
    assert row.mean == pytest.approx(3.4 / 9)
    assert row.quantus == pytest.approx(34 / 9)
    assert (row.items, row.images, row.seeds) == (9, 3, 2)


def test_every_status_is_counted_beside_the_mean() -> None:
    row = average(make_items(AREAS, STATUS), experiment="e", task="t", reached={})
    assert row.counts == {0: 0, 1: 9, 2: 2, 3: 1, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0}


def test_spread_over_seeds_is_that_of_the_seeds_own_means() -> None:
    row = average(make_items(AREAS, STATUS), experiment="e", task="t", reached={})
    means = [1.6 / 5, 1.8 / 4]
    assert row.seed_mean == pytest.approx(sum(means) / 2)
    assert row.seed_std == pytest.approx(abs(means[1] - means[0]) / math.sqrt(2))


def test_a_group_is_averaged_by_itself() -> None:
    row = average(make_items(AREAS, STATUS), experiment="e", task="t", reached={}, group="bed")
    assert row.mean == pytest.approx((0.1 + 0.3 + 0.3 + 0.5) / 4)
    assert (row.group, row.items, row.images, row.counts[2]) == ("bed", 4, 2, 2)


def test_without_any_item_there_is_no_mean_and_no_warning() -> None:
    row = average(make_items([[[0.5]]], [[[2]]]), experiment="e", task="t", reached={})
    assert row.items == row.images == row.seeds == 0
    spread = (row.low, row.high, row.standard_error, row.seed_std)
    assert all(map(math.isnan, (row.mean, row.seed_mean, *spread)))


def test_one_seed_has_no_spread_and_one_image_no_interval() -> None:
    row = average(make_items([[[0.25, 0.75]]], [[[1, 1]]]), experiment="e", task="t", reached={})
    assert row.mean == row.seed_mean == 0.5
    assert all(map(math.isnan, (row.low, row.high, row.standard_error, row.seed_std)))
