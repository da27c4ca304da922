"""What every faithfulness measure promises: an image's curves are its own, whoever is beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mtljobs.contracts import STATUS, Explained
from mtljobs.settings import build
from mtljobs.settings.explain import SLIC

torch = pytest.importorskip("torch", reason="images are perturbed")

EDGE = 96
GROUPS = 2
CODE = {text: code for code, text in STATUS.items()}


@pytest.fixture
def measure(faithfulness_choice, smallest):
    """Of the class, in batches of 4, unless it takes images one by one."""
    return build(smallest(faithfulness_choice), batch=4)


def predict(images):
    """A channel per group that every pixel has a part in, at an eighth of the image's size."""
    pooled = torch.nn.functional.avg_pool2d(images, 8)
    return torch.stack([2 + pooled[:, 0], 1 + pooled[:, 1] * pooled[:, 2]], dim=1)


def score(prediction, *, clean, mask, group):
    """The mean of the group's channel over its pixels."""
    own = prediction[torch.arange(len(prediction), device=prediction.device), group]
    return (own * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))


def blocks(seed):
    """An image of 8 x 8 blocks, each of one colour but for a little noise."""
    generator = np.random.default_rng(seed)
    colours = np.kron(generator.random((3, 8, 8)), np.ones((EDGE // 8, EDGE // 8)))
    return torch.tensor(0.9 * colours + 0.1 * generator.random(colours.shape)).float()


def explained(seed, *, image=None):
    """Two groups of random pixels and maps; superpixels are those that Quantus would take."""
    image = blocks(seed) if image is None else image
    generator = torch.Generator().manual_seed(seed)
    return Explained(
        image=image,
        clean=predict(image[None])[0],
        masks=torch.rand(GROUPS, EDGE // 8, EDGE // 8, generator=generator) < 0.5,
        maps=torch.rand(GROUPS, EDGE, EDGE, generator=generator),
        segments=build(SLIC(name="slic")).segments(image.numpy()),
    )


def steps(image):
    return int(image.segments.max()) + 1


def run(measure, images, predict=predict):
    return list(measure.curves(predict, score, iter(images)))


def content(curves):
    """Everything that is in the curves of an image."""
    return [
        (c.scores.tobytes(), list(c.order), c.segment_score.tobytes(), c.status) for c in curves
    ]


def test_each_image_has_a_curve_per_group_in_order(measure):
    images = [explained(seed) for seed in range(3)]
    assert len({steps(image) for image in images}) == 3
    found = run(measure, images)
    assert [len(curves) for curves in found] == [GROUPS] * 3
    for image, curves in zip(images, found, strict=True):
        for curve in curves:
            assert curve.status == CODE["ok"]
            assert curve.scores.shape == (steps(image) + 1,)
            assert curve.scores[0] == 1
            assert np.isfinite(curve.scores).all()
            assert sorted(curve.order) == list(range(steps(image)))
            assert curve.segment_score.shape == (steps(image),)
            assert np.isfinite(curve.segment_score).all()


def test_first_steps_take_what_is_salient(measure):
    # The salient quarter of the image is bright, and the scores rest on it.
    image = 0.1 * blocks(0)
    image[:, : EDGE // 2, : EDGE // 2] += 0.9
    maps = torch.zeros(GROUPS, EDGE, EDGE)
    maps[:, : EDGE // 2, : EDGE // 2] = 1
    given = dataclasses.replace(explained(0, image=image), maps=maps)
    for curve in run(measure, [given])[0]:
        assert curve.scores[steps(given) // 3] < 0.96
        leaving = curve.segment_score[list(curve.order)]
        assert leaving[0] == 1
        assert (np.diff(leaving) <= 0).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2,)])
def test_curves_of_an_image_are_those_it_has_alone(measure, order):
    found = run(measure, [explained(seed) for seed in order])
    alone = [run(measure, [explained(seed)])[0] for seed in order]
    assert [content(curves) for curves in found] == [content(curves) for curves in alone]


def test_network_sees_batches_of_one_shape(measure):
    seen, images = [], [explained(0), explained(1)]

    def watched(images):
        seen.append(tuple(images.shape))
        return predict(images)

    run(measure, images, watched)
    (shape,) = set(seen)
    assert shape in {(4, 3, EDGE, EDGE), (1, 3, EDGE, EDGE)}
    # A row for each step; a measure may look at each item's clean image too.
    rows = GROUPS * sum(map(steps, images))
    assert rows <= len(seen) * shape[0] <= rows + max(GROUPS * len(images), shape[0] - 1)


def test_images_are_taken_when_they_are_needed(measure):
    taken = []

    def images():
        for number in range(4):
            taken.append(number)
            yield explained(number)

    found = measure.curves(predict, score, images())
    assert taken == []
    next(found)
    assert taken in ([0], [0, 1])  # the second may have filled the first one's last batch
    assert len(list(found)) == 3


def broken_item(status):
    """An image whose first group alone comes to a status, and the same image unharmed."""
    whole = explained(7)
    maps, masks, clean = whole.maps.clone(), whole.masks.clone(), whole.clean.clone()
    match status:
        case "group empty":
            masks[0] = False
        case "map all zero":
            maps[0] = 0
        case "map not finite":
            maps[0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        case "clean score <= eps":
            clean[0] = 0
    return dataclasses.replace(whole, maps=maps, masks=masks, clean=clean), whole


@pytest.mark.parametrize(
    "status", ["group empty", "map all zero", "map not finite", "clean score <= eps"]
)
def test_unfit_item_says_why_and_harms_nobody(measure, status):
    healthy, (broken, whole) = explained(1), broken_item(status)
    before, found, after = run(measure, [healthy, broken, healthy])
    assert [curve.status for curve in found] == [CODE[status], CODE["ok"]]
    assert np.isnan(found[0].scores).all()
    assert found[0].scores.shape == (steps(broken) + 1,)
    assert len(found[0].order) == len(found[0].segment_score) == steps(broken)
    assert content(found)[1] == content(run(measure, [whole])[0])[1]
    assert content(before) == content(after) == content(run(measure, [healthy])[0])


def test_image_of_one_superpixel_has_no_curve_and_harms_nobody(measure):
    noise = torch.rand(3, EDGE, EDGE, generator=torch.Generator().manual_seed(0))
    healthy, single = explained(1), explained(7, image=noise)
    assert steps(single) == 1
    found, after = run(measure, [single, healthy])
    assert [curve.status for curve in found] == [CODE["one superpixel"]] * GROUPS
    assert all(curve.scores.shape == (2,) and np.isnan(curve.scores).all() for curve in found)
    assert content(after) == content(run(measure, [healthy])[0])


def test_output_that_stops_being_finite_spoils_its_own_group_alone(measure):
    marked = explained(1, image=1 + blocks(1))  # no other has a pixel of 1, whatever fills it

    def fragile(images):
        whole = predict(images)
        changed = (images != marked.image).flatten(1).any(dim=1)
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
