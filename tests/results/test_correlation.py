from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from mtljobs.ledger.paths import RunFolder
from mtljobs.results import Performance, correlate, correlate_images, open_run
from mtljobs.results.correlation import Correlation, correlate_items

NAN = float("nan")


def make_correlation(
    faithfulness: list[float], values: list[float], *, lower_is_better: bool = False
) -> Correlation:
    """Of networks of one seed each at its own sparsity, with one item of that AOC."""
    sparsities = [index / 16 for index in range(len(values))]
    items = xr.Dataset(
        {"aoc": (("sparsity", "seed", "image", "group"), np.reshape(faithfulness, (-1, 1, 1, 1)))},
        coords={"sparsity": sparsities, "seed": [0]},
    )
    rows = [
        Performance("segnet", "depth", "abs_error", lower_is_better, sparsity, 0, value, constant=1)
        for sparsity, value in zip(sparsities, values, strict=True)
    ]
    (row,) = correlate_items({("segnet", "depth"): items}, rows)
    return row


def test_rho_of_four_networks_is_as_by_hand_and_p_counts_all_orders() -> None:
    # Ranks 1 2 3 4 beside 1 3 2 4: 1 - 6 * 2 / (4 * 15).
    row = make_correlation([0.1, 0.2, 0.3, 0.4], [5.0, 7.0, 6.0, 9.0])
    assert (row.networks, row.rho) == (4, pytest.approx(0.8))
    rhos = [stats.spearmanr(range(4), order).statistic for order in permutations(range(4))]
    assert row.p == pytest.approx(np.mean(np.abs(rhos) >= 0.8 - 1e-9))


def test_p_of_seven_networks_is_exact() -> None:
    row = make_correlation([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [1.0, 2, 3, 4, 5, 6, 7])
    assert row.p == pytest.approx(2 / math.factorial(7))


def test_an_error_that_falls_as_faithfulness_rises_correlates_positively() -> None:
    better = make_correlation([0.1, 0.2, 0.3, 0.4], [0.9, 0.7, 0.5, 0.2], lower_is_better=True)
    worse = make_correlation([0.1, 0.2, 0.3, 0.4], [0.9, 0.7, 0.5, 0.2])
    assert better.rho == pytest.approx(1.0)
    assert worse.rho == pytest.approx(-1.0)
    assert better.p == worse.p == pytest.approx(2 / 24)


def test_many_networks_are_tested_by_the_same_random_orders_each_time() -> None:
    generator = np.random.default_rng(0)
    faithfulness = generator.random(16)
    values = faithfulness + generator.normal(0, 0.4, 16)
    row = make_correlation(list(faithfulness), list(values))
    expected = stats.spearmanr(faithfulness, values)
    assert row.rho == pytest.approx(expected.statistic)
    assert row.p == pytest.approx(expected.pvalue, abs=0.02)
    assert row == make_correlation(list(faithfulness), list(values))


@pytest.mark.parametrize(
    ("faithfulness", "values", "networks"),
    [
        ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], 3),
        ([0.1, 0.2, NAN, 0.4], [1.0, 2.0, 3.0, 4.0], 3),
        ([0.1, 0.2, 0.3, 0.4], [1.0, NAN, 3.0, 4.0], 3),
        ([0.1, 0.2, 0.3, 0.4], [2.0, 2.0, 2.0, 2.0], 4),
        ([NAN], [NAN], 0),
    ],
)
def test_too_few_or_equal_networks_have_no_rho_and_no_warning(
    faithfulness: list[float], values: list[float], networks: int
) -> None:
    row = make_correlation(faithfulness, values)
    assert row.networks == networks
    assert math.isnan(row.rho)
    assert math.isnan(row.p)


def test_every_metric_of_a_stored_run_is_correlated_with_its_tasks_means(stored_run) -> None:
    run = open_run(stored_run.root)
    rows = correlate(run)
    assert len(rows) == 2 * 3 * 2
    # Sparser is worse in every metric, and less faithful, in the synthetic run; seeds are noise.
    assert {row.networks for row in rows} == {6}
    assert all(row.rho > 0.5 for row in rows)


def test_images_of_one_network_are_correlated_as_by_hand(synthetic, tmp_path) -> None:
    arrays = synthetic.make_arrays(synthetic.make_layouts())
    metric = arrays["segnet-netslim/depth"]["performance_image"]
    metric[0, 0] = NAN  # sparsity 0, seed 1
    metric[0, 0, :, 0] = [0.4, 0.3, 0.1, 0.2, NAN, 0.0]  # abs_error
    irof = arrays["segnet-netslim/depth"]["irof"]
    irof[0, 0] = np.where(np.isnan(irof[0, 0]), NAN, 1.0)
    for image, level in enumerate([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]):  # less is left: more faithful
        steps = irof[0, 0, image, :, 1:]
        steps[~np.isnan(steps)] = level
    run = open_run(synthetic.write_run(RunFolder(tmp_path / "study"), arrays=arrays).root)
    rows = {
        (row.metric, row.sparsity, row.seed): row
        for row in correlate_images(run)
        if (row.experiment, row.task) == ("segnet-netslim", "depth")
    }
    assert len(rows) == 2 * 3 * 2
    row = rows["abs_error", 0.0, 1]
    # Faithfulness ranks 1 2 3 4 5 beside (of the error, turned) 1 2 4 3 5: 1 - 6 * 2 / (5 * 24).
    assert (row.lower_is_better, row.images, row.rho) == (True, 5, pytest.approx(0.9))
    empty = rows["rel_error", 0.0, 1]
    assert (empty.images, math.isnan(empty.rho)) == (0, True)
    assert all(row.images == 6 for key, row in rows.items() if key[1:] != (0.0, 1))
