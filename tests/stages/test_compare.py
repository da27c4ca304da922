"""What is made of two engines' answers, item by item and in numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mtljobs.contracts import Shard
from mtljobs.errors import DataError
from mtljobs.stages import compare
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


class Album:
    """Four images, each as bright as its index; some cannot be read."""

    def __init__(self, *unreadable):
        self.unreadable = unreadable

    def __getitem__(self, index):
        if index in self.unreadable:
            raise DataError(f"image {index} is broken")
        return {"image": np.full((3, 8, 8), index, dtype=np.float32)}


@pytest.fixture
def open_images(monkeypatch):
    """Opens so many images of an album, as of an experiment that explains all four."""
    info = SimpleNamespace(splits={"test": tuple("abcd")})
    work = SimpleNamespace(
        layouts={"desk": SimpleNamespace(images=info.splits["test"])},
        shard=SimpleNamespace(place={"experiment": "desk"}),
    )
    monkeypatch.setattr(compare, "open_info", lambda work: info)

    def open_from(album, count):
        monkeypatch.setattr(compare, "open_dataset", lambda work, info, split: album)
        return [image[0, 0, 0] for image, _ in compare._open_images(work, count)]

    return open_from


def test_image_that_cannot_be_read_makes_room_for_the_next(open_images):
    assert open_images(Album(), 2) == [0, 1]
    assert open_images(Album(0, 2), 2) == [1, 3]
    assert open_images(Album(0, 2), 9) == [1, 3]


def test_images_none_of_which_can_be_read_say_why(open_images):
    with pytest.raises(DataError, match="image 0 is broken"):
        open_images(Album(0, 1, 2, 3), 2)


def test_networks_are_compared_exact_whatever_the_experiment_chose():
    fast = {"forward": {"precision": "tf32", "compiled": True}, "irof_batch": 8}
    shard = Shard("explain-0", "explain", "a" * 64, False, (), {}, fast, {})
    spec = compare._exact(shard).spec
    assert spec["irof_batch"] == 8
    assert (spec["forward"]["precision"], spec["forward"]["compiled"]) == ("float32", False)
