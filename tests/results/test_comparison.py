from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from mtljobs.results import Comparison, compare, declines, open_run
from mtljobs.results.comparison import compare_items, holm

NAN = float("nan")


def make_items(
    areas: np.ndarray, *, sparsities: tuple[float, ...] = (0.0, 0.5), task: str = "depth"
) -> dict[tuple[str, str], xr.Dataset]:
    """Items of one experiment and task along sparsity, image; or sparsity, seed, image, group."""
    areas = np.asarray(areas, float)
    if areas.ndim == 2:
        areas = areas[:, None, :, None]
    coords = {"sparsity": list(sparsities), "group": [f"g{i}" for i in range(areas.shape[-1])]}
    items = xr.Dataset({"aoc": (("sparsity", "seed", "image", "group"), areas)}, coords=coords)
    return {("segnet", task): items}


def make_row(sparsity: float, *, p: float, effect: float = -0.9, images: int = 9) -> Comparison:
    numbers = {"difference": 0.0, "low": 0.0, "high": 0.0, "shift": 0.0, "p": p, "p_holm": p}
    return Comparison(
        "e", "depth", None, sparsity, items=images, images=images, effect=effect, **numbers
    )


def test_an_images_difference_is_the_mean_over_the_pairs_of_both_networks() -> None:
    dense = [[[0.5, 0.7], [0.4, NAN]], [[0.3, 0.1], [NAN, 0.2]]]  # seed, image, group
    sparse = [[[0.4, 0.3], [NAN, 0.9]], [[0.1, NAN], [0.8, 0.1]]]
    (row,) = compare_items(make_items([dense, sparse]))
    # Image 0: -0.1, -0.4 and -0.2; image 1: -0.1 of seed 1, group 1 alone.
    differences = [-0.7 / 3, -0.1]
    assert (row.items, row.images) == (4, 2)
    assert row.difference == pytest.approx(np.mean(differences))
    assert row.shift == pytest.approx(np.median([*differences, np.mean(differences)]))
    assert (row.low, row.high) == pytest.approx((-0.7 / 3, -0.1))
    assert (row.effect, row.p) == (-1.0, 0.5)  # 2 of 4 sign patterns are as extreme


def test_p_is_wilcoxons_and_the_effect_is_kerbys_difference_of_shares() -> None:
    # Ranks of the differences -0.4, 0.1, -0.3, -0.2, -0.5, -0.7: 4, 1, 3, 2, 5, 6; 20 of 21 fall.
    fall = np.array([-0.4, 0.1, -0.3, -0.2, -0.5, -0.7])
    (row,) = compare_items(make_items([np.zeros(6), fall]))
    assert row.effect == pytest.approx((1 - 20) / 21)
    # A rank sum of at most 1 in favour of a rise: {} and {1}, of 64 patterns, on either side.
    assert row.p == pytest.approx(2 * 2 / 64)


@pytest.mark.parametrize("images", [30, 144])
def test_many_images_are_tested_as_scipy_tests_them(images: int) -> None:
    generator = np.random.default_rng(images)
    dense = generator.random(images)
    sparse = dense + generator.normal(-0.02, 0.1, images)
    (row,) = compare_items(make_items([dense, sparse]))
    assert row.p == pytest.approx(stats.wilcoxon(sparse, dense).pvalue)
    assert row.low < row.difference < row.high


def test_differences_of_zero_are_ranked_and_count_for_neither_side() -> None:
    # Ranks: the two zeros share 1.5, then 3, 4, 5; 3 of 15 rise, 9 fall.
    (row,) = compare_items(make_items([np.zeros(5), [0.0, 0.1, -0.2, 0.0, -0.3]]))
    assert row.effect == pytest.approx((3 - 9) / 15)
    assert (row.images, row.p) == (5, 0.5)  # of 3, 4, 5 with either sign, 3 or less in 2 of 8


@pytest.mark.parametrize("images", [1, 7, 60])
def test_a_network_compared_with_itself_shows_no_difference(images: int) -> None:
    areas = np.random.default_rng(0).random(images)
    (row,) = compare_items(make_items([areas, areas]))
    assert (row.p, row.p_holm, row.effect, row.difference, row.shift) == (1, 1, 0, 0, 0)
    assert not row.is_decline


def test_the_order_of_the_images_changes_nothing() -> None:
    areas = np.random.default_rng(1).random((3, 2, 20, 3))
    areas[:, :, 5] = NAN
    shuffled = areas[:, :, np.random.default_rng(2).permutation(20)].copy()
    ordered, other = (
        compare_items(make_items(part, sparsities=(0.0, 0.5, 0.9))) for part in (areas, shuffled)
    )
    assert ordered == other


def test_five_images_that_all_fall_cannot_be_significant() -> None:
    (row,) = compare_items(make_items([np.ones(5), np.zeros(5)]))
    assert row.p == 0.0625
    (row,) = compare_items(make_items([np.ones(6), np.zeros(6)]))
    assert row.p == 0.03125


def test_without_a_pair_there_is_no_number_and_no_warning() -> None:
    (row,) = compare_items(make_items([[0.5, NAN], [NAN, 0.5]]))
    assert (row.items, row.images) == (0, 0)
    assert all(map(math.isnan, (row.difference, row.low, row.shift, row.effect, row.p)))
    assert math.isnan(row.p_holm)
    assert not row.is_decline


def test_an_experiment_without_a_dense_network_has_no_comparison() -> None:
    assert compare_items(make_items(np.ones((2, 4)), sparsities=(0.5, 0.9))) == ()


def test_holm_multiplies_by_the_hypotheses_that_are_left_and_never_falls() -> None:
    # Sorted: 0.01 * 4, 0.02 * 3, 0.025 * 2 (below 0.06, so 0.06), 0.9 * 1.
    assert holm([0.025, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_family_is_an_experiment_with_all_its_tasks() -> None:
    generator = np.random.default_rng(3)
    items = {}
    for experiment in ("segnet", "deeplab"):
        for task in ("depth", "normals"):
            ((_, areas),) = make_items(generator.random((2, 12))).items()
            items[experiment, task] = areas
    rows = compare_items(items)
    for family in (rows[:2], rows[2:]):
        assert [row.p_holm for row in family] == holm([row.p for row in family])
        assert len({row.experiment for row in family}) == 1


def test_groups_are_compared_one_by_one_on_request() -> None:
    areas = np.zeros((2, 1, 8, 2))
    areas[1, 0, :, 0] = -np.arange(1, 9)
    bed, wall = compare_items(make_items(areas), by_group=True)
    assert (bed.group, bed.effect, bed.images) == ("g0", -1.0, 8)
    assert (wall.group, wall.effect, wall.p) == ("g1", 0.0, 1.0)
    assert bed.p_holm == 2 * bed.p


def test_the_decline_begins_where_all_larger_sparsities_decline_too() -> None:
    rows = [make_row(s, p=p) for s, p in ((0.9, 0.001), (0.5, 0.01), (0.7, 0.2), (0.8, 0.04))]
    (decline,) = declines(rows)
    assert decline.sparsity == 0.8
    assert decline.compared == (0.5, 0.7, 0.8, 0.9)


def test_a_significant_rise_is_no_decline() -> None:
    rows = [make_row(0.5, p=0.001), make_row(0.9, p=0.001, effect=0.9)]
    assert declines(rows)[0].sparsity is None


def test_a_sparsity_without_pairs_was_not_measured() -> None:
    rows = [make_row(0.5, p=0.001), make_row(0.9, p=NAN, effect=NAN, images=0)]
    assert declines(rows)[0].sparsity == 0.5
    assert declines(rows)[0].compared == (0.5,)


def test_each_experiment_task_and_group_has_its_own_decline() -> None:
    areas = np.random.default_rng(5).random((3, 1, 10, 2))
    rows = compare_items(make_items(areas, sparsities=(0.0, 0.5, 0.9)), by_group=True)
    assert [(row.task, row.group) for row in declines(rows)] == [("depth", "g0"), ("depth", "g1")]


def test_a_stored_run_is_compared_per_experiment_and_task(stored_run) -> None:
    run = open_run(stored_run.root)
    rows = compare(run)
    places = {(row.experiment, row.task, row.sparsity) for row in rows}
    assert len(rows) == len(places) == 2 * 3 * 2
    # Its curves fall the slower the sparser, so all images of all sparsities fall: 6 of them.
    assert {(row.images, row.effect) for row in rows} == {(6, -1.0)}
    assert {row.sparsity for row in declines(rows)} == {None}  # 6 images are too few for 6 tests
    assert len(compare(run, by_group=True)) == 2 * 2 * (3 + 5 + 4)
