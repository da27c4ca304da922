"""Numbers that contradict each other, by hand: two images with L = 2 and 3, one group."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mtljobs.store.items import count_missing, item_faults, superpixel_faults

NAN, FILL = math.nan, 65535
N_SEGMENTS = np.array([2, 3])


@pytest.fixture
def items() -> dict[str, np.ndarray]:
    """An item with a curve, and one whose group is empty."""
    return {
        "status": np.array([[1], [2]], dtype=np.uint8),
        "irof": np.array([[[1, 0.5, 0.25, NAN]], [[NAN] * 4]], dtype=np.float32),
        "order": np.array([[[1, 0, FILL]], [[2, 0, 1]]], dtype=np.uint16),
    }


def test_items_as_they_should_be_have_no_faults(items: dict[str, np.ndarray]) -> None:
    assert list(item_faults(items, N_SEGMENTS)) == []
    items["status"][1] = 8  # could not be read: fill
    items["order"][1] = FILL
    assert list(item_faults(items, N_SEGMENTS)) == []


@pytest.mark.parametrize(
    ("array", "place", "value", "fault"),
    [
        ("status", (1, 0), 77, r"status has the codes \[77\], which mean nothing"),
        ("irof", (0, 0, 1), NAN, "irof is finite elsewhere .* image 0 of the block, group 0"),
        ("irof", (0, 0, 3), 0.5, "irof is finite elsewhere .* image 0 of the block, group 0"),
        ("irof", (1, 0, 0), 1.0, "irof is finite elsewhere .* image 1 of the block, group 0"),
        ("irof", (1, 0, 3), math.inf, "irof is finite elsewhere .* image 1 of the block, group 0"),
        ("irof", (0, 0, 0), 0.999, "irof does not begin with 1, such as at image 0"),
        ("order", (0, 0, 0), 0, "order is no permutation of 0 to L - 1, such as at image 0"),
        ("order", (0, 0, 2), 2, "order is no permutation of 0 to L - 1, such as at image 0"),
        ("order", (1, 0, 1), FILL, "order is no permutation of 0 to L - 1, such as at image 1"),
    ],
)
def test_a_number_that_contradicts_the_others_is_a_fault(
    items: dict[str, np.ndarray], array: str, place: tuple[int, ...], value: float, fault: str
) -> None:
    items[array][place] = value
    with pytest.raises(ValueError, match=fault):
        raise ValueError(*item_faults(items, N_SEGMENTS))


def test_an_order_with_its_fill_in_front_is_a_fault(items: dict[str, np.ndarray]) -> None:
    items["order"][0, 0] = [FILL, 0, 1]
    assert len(list(item_faults(items, N_SEGMENTS))) == 1


def test_curves_are_not_judged_where_nobody_says_how_long_they_are(
    items: dict[str, np.ndarray],
) -> None:
    items["irof"][:] = 3
    assert list(item_faults(items, None)) == []


def test_counts_of_superpixels_are_those_of_the_labels() -> None:
    segments = np.array([[[0, 1]], [[2, 0]]], dtype=np.uint16)
    arrays = {"segments": segments, "n_segments": np.array([2, 3], dtype=np.uint16)}
    assert list(superpixel_faults(arrays)) == []
    arrays["n_segments"][1] = 2
    (fault,) = superpixel_faults(arrays)
    assert fault == "n_segments is 2 at image 1 of the block, where segments go up to 2"


def test_items_that_are_no_results_are_counted_by_their_code() -> None:
    assert count_missing(np.array([[0, 1, 8], [8, 3, 1]])) == {0: 1, 8: 2}
    assert count_missing(np.array([1, 2, 7])) == {}
