"""What is made of two engines' answers, item by item and in numbers."""

from __future__ import annotations

import pytest

from mtljobs.stages.compare import Item, summarise

CLOSE = Item(same_status=True, curve=1e-7, score=2e-7)
NO_CURVE = Item(same_status=True)
TIED = Item(same_status=True, curve=0.02, score=1e-4, positions=3, in_float64=1e-9)
ROUNDED = Item(same_status=True, curve=2e-5, score=1e-7, in_float64=1e-9)
WRONG = Item(same_status=True, curve=2e-5, score=1e-7, in_float64=2e-5)
OTHER_STATUS = Item(same_status=False)


@pytest.mark.parametrize(
    ("item", "notable", "rounding", "unexplained"),
    [
        (CLOSE, False, False, False),
        (NO_CURVE, False, False, False),
        (TIED, True, False, False),
        (ROUNDED, True, True, False),
        (WRONG, True, False, True),
        (OTHER_STATUS, False, False, True),
    ],
)
def test_deviation_is_explained_by_pooling_or_by_float64(item, notable, rounding, unexplained):
    assert item.is_notable is notable
    assert item.is_rounding is rounding
    assert item.is_unexplained is unexplained


def test_summary_counts_each_item_once():
    items = [CLOSE, NO_CURVE, TIED, ROUNDED, WRONG, OTHER_STATUS]
    found = summarise(items, seconds={"irof": 1.0})
    assert found.pop("curve") == pytest.approx(
        {"median": 2e-5, "99%": 0.02 - 0.03 * (0.02 - 2e-5), "max": 0.02}
    )
    assert found.pop("score")["max"] == 1e-4
    assert found == {
        "items": 6,
        "curves": 4,
        "same_status": 5,
        "above_1e-5": 3,
        "above_1e-4": 1,
        "pooling_differs": 1,
        "positions": 3,
        "rounding": 1,
        "unexplained": 2,
        "seconds": {"irof": 1.0},
    }


def test_summary_of_no_curves_has_no_quantiles():
    assert summarise([NO_CURVE], seconds={})["curve"] is None
