"""What every faithfulness measure promises: an image's curves are its own, whoever is beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mtljobs.contracts import STATUS, Explained
from mtljobs.settings import build

torch = pytest.importorskip("torch", reason="images are perturbed")

ROWS, COLUMNS = 32, 48
GROUPS = 2
CODE = {text: code for code, text in STATUS.items()}


@pytest.fixture
def measure(faithfulness_choice, smallest):
    """Of the class, in batches of 4, unless it takes images one by one."""
    return build(smallest(faithfulness_choice), batch=4)


def predict(images):
    """A channel per group that every pixel has a part in, at half the image's size."""
    pooled = torch.nn.functional.avg_pool2d(images, 2)
    return torch.stack([2 + pooled[:, 0], 1 + pooled[:, 1] * pooled[:, 2]], dim=1)


def score(prediction, *, clean, mask, group):
    """The mean of the group's channel over its pixels."""
    own = prediction[torch.arange(len(prediction), device=prediction.device), group]
    return (own * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))


def explained(seed, *, superpixels=(3, 4), predict=predict, **other):
    """An image of noise with two groups; `superpixels` are so many rows and columns of them."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, ROWS, COLUMNS, generator=generator)
    rows, columns = superpixels
    row, column = np.arange(ROWS) * rows // ROWS, np.arange(COLUMNS) * columns // COLUMNS
    plain = Explained(
        image=image,
        clean=predict(image[None])[0],
        masks=torch.rand(GROUPS, ROWS // 2, COLUMNS // 2, generator=generator) < 0.5,
        maps=torch.rand(GROUPS, ROWS, COLUMNS, generator=generator),
        segments=row[:, None] * columns + column,
    )
    return dataclasses.replace(plain, **other)


def run(measure, images, predict=predict):
    return list(measure.curves(predict, score, iter(images)))


def content(curves):
    """Everything that is in the curves of an image."""
    return [
        (c.scores.tobytes(), list(c.order), c.segment_score.tobytes(), c.status) for c in curves
    ]


def with_map(values):
    """Maps of which the first has these values at its first pixels."""
    maps = explained(7).maps.clone()
    maps[0, 0, : len(values)] = torch.tensor(values)
    return maps


def half_zero():
    maps = explained(7).maps.clone()
    maps[0] = 0
    return maps


def half_empty():
    masks = explained(7).masks.clone()
    masks[0] = False
    return masks


UNFIT = {
    "group empty": {"masks": half_empty()},
    "map all zero": {"maps": half_zero()},
    "map not finite": {"maps": with_map([float("nan"), float("inf"), -float("inf")])},
    "clean score <= eps": {"clean": explained(7).clean * torch.tensor([0.0, 1.0])[:, None, None]},
}
"""Status -> what brings the first group of an image to it, and the second not."""


def test_each_image_has_a_curve_per_group_in_order(measure):
    shapes = [(3, 4), (4, 4), (2, 3)]
    images = [explained(seed, superpixels=shape) for seed, shape in enumerate(shapes)]
    found = run(measure, images)
    assert [len(curves) for curves in found] == [GROUPS] * 3
    for (rows, columns), curves in zip(shapes, found, strict=True):
        for curve in curves:
            assert curve.status == CODE["ok"]
            assert curve.scores.shape == (rows * columns + 1,)
            assert curve.scores[0] == 1
            assert np.isfinite(curve.scores).all()
            assert sorted(curve.order) == list(range(rows * columns))
            assert curve.segment_score.shape == (rows * columns,)
            assert np.isfinite(curve.segment_score).all()


def test_first_steps_take_what_is_salient(measure):
    # The salient quarter of the image is bright, and the scores rest on it.
    image = torch.full((3, ROWS, COLUMNS), 0.1)
    image[:, :16, :24] = 1
    maps = torch.zeros(GROUPS, ROWS, COLUMNS)
    maps[:, :16, :24] = 1
    given = explained(0, superpixels=(4, 4), image=image, maps=maps, clean=predict(image[None])[0])
    for curve in run(measure, [given])[0]:
        assert curve.scores[4] < 0.95
        leaving = curve.segment_score[list(curve.order)]
        assert (np.diff(leaving) <= 0).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2,)])
def test_curves_of_an_image_are_those_it_has_alone(measure, order):
    shapes = [(3, 4), (4, 4), (2, 3), (3, 3)]
    alone = [content(run(measure, [explained(i, superpixels=s)])[0]) for i, s in enumerate(shapes)]
    found = run(measure, [explained(index, superpixels=shapes[index]) for index in order])
    assert [content(curves) for curves in found] == [alone[index] for index in order]


def test_network_sees_batches_of_one_shape(measure):
    seen = []

    def watched(images):
        seen.append(tuple(images.shape))
        return predict(images)

    run(measure, [explained(0), explained(1, superpixels=(2, 3))], watched)
    (shape,) = set(seen)
    assert shape in {(4, 3, ROWS, COLUMNS), (1, 3, ROWS, COLUMNS)}
    # Two groups of 12 and 6 steps; a measure may look at the clean image too.
    assert 2 * (12 + 6) <= len(seen) * shape[0] < 2 * (12 + 6) + 4 * GROUPS


def test_images_are_taken_when_they_are_needed(measure):
    taken = []

    def images():
        for number in range(5):
            taken.append(number)
            yield explained(number)

    found = measure.curves(predict, score, images())
    assert taken == []
    next(found)
    assert taken in ([0], [0, 1])  # the second may have filled the first one's last batch
    assert len(list(found)) == 4


@pytest.mark.parametrize("status", UNFIT)
def test_unfit_item_says_why_and_harms_nobody(measure, status):
    healthy, broken = explained(1), explained(7, **UNFIT[status])
    before, found, after = run(measure, [healthy, broken, healthy])
    assert [curve.status for curve in found] == [CODE[status], CODE["ok"]]
    assert np.isnan(found[0].scores).all()
    assert found[0].scores.shape == (13,)
    assert len(found[0].order) == len(found[0].segment_score) == 12
    assert content(found)[1] == content(run(measure, [explained(7)])[0])[1]
    assert content(before) == content(after) == content(run(measure, [healthy])[0])


def test_image_of_one_superpixel_has_no_curve_and_harms_nobody(measure):
    healthy = explained(1)
    found, after = run(measure, [explained(7, superpixels=(1, 1)), healthy])
    assert [curve.status for curve in found] == [CODE["one superpixel"]] * GROUPS
    assert all(curve.scores.shape == (2,) and np.isnan(curve.scores).all() for curve in found)
    assert content(after) == content(run(measure, [healthy])[0])


def test_output_that_stops_being_finite_spoils_its_own_group_alone(measure):
    image = 1 + explained(1).image  # no other image has a pixel above 1, whatever is filled in
    marked = explained(1, image=image, clean=predict(image[None])[0])

    def fragile(images):
        whole = predict(images)
        changed = (images != image).flatten(1).any(dim=1)
        whole[changed & (images.amin(dim=(1, 2, 3)) >= 1), 0] = torch.inf
        return whole

    healthy = explained(2)
    found, after = run(measure, [marked, healthy], fragile)
    assert [curve.status for curve in found] == [CODE["output not finite"], CODE["ok"]]
    assert np.isnan(found[0].scores).all()
    assert content(after) == content(run(measure, [healthy])[0])


def test_clean_prediction_that_is_not_finite_is_told_for_every_group(measure):
    healthy, broken = explained(1), explained(7)
    broken = dataclasses.replace(broken, clean=broken.clean * torch.nan)
    found, after = run(measure, [broken, healthy])
    assert [curve.status for curve in found] == [CODE["output not finite"]] * GROUPS
    assert content(after) == content(run(measure, [healthy])[0])


def test_run_without_images_has_no_curves(measure):
    assert run(measure, []) == []
