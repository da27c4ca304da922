"""IROF by hand, on networks whose answers are plain sums; and what becomes of unfit items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtljobs.contracts import Explained
from mtljobs.explain.irof import IROF
from mtljobs.explain.removal import drifting_greys

SEGMENTS = np.array([[0, 0, 1, 2]])
IMAGE = torch.tensor([[[8.0, 4.0, 2.0, 2.0]]])
ONE = np.zeros((1, 4), dtype=np.uint16)
MAP = [1.0, 3.0, 3.0, 1.0]
"""Superpixels 0 and 1 have the means 2 and 3, superpixel 2 has 1: the order is 1, 0, 2."""


@pytest.fixture
def irof():
    return IROF(epsilon=1e-6, order="stable", fill="drifting", batch=4)


@pytest.fixture
def score(tasks):
    return tasks["segmentation"].score


def identity(images):
    return images


def mean_of_image(images):
    return images.mean(dim=(1, 2, 3), keepdim=True).expand_as(images)


def explain(*, masks, maps, predict=identity, image=IMAGE, segments=SEGMENTS):
    """An image whose groups all stand for its channels, with masks and maps on rows of pixels."""
    return Explained(
        image=image,
        clean=predict(image[None])[0],
        masks=torch.tensor(masks, dtype=torch.bool)[:, None, :],
        maps=torch.tensor(maps)[:, None, :],
        segments=segments,
    )


def curves(irof, score, predict=identity, **explained):
    return next(irof.curves(predict, score, [explain(predict=predict, **explained)]))


def test_curve_of_the_identity_is_worked_out_by_hand(irof, score):
    (curve,) = curves(irof, score, masks=[[1, 0, 0, 1]], maps=[MAP])
    # The image becomes (8, 4, 4, 2) with 16/4, (4.5, 4.5, 4, 2) with 18/4 and
    # (4.5, 4.5, 4, 3.75) with 15/4; the first and last pixel are judged: 10, 10, 6.5, 8.25.
    assert curve.scores.tolist() == [1.0, 1.0, 0.65, 0.825]
    assert curve.order.tolist() == [1, 0, 2]
    assert curve.segment_score.tolist() == [2.0, 3.0, 1.0]
    assert curve.status == 1


def test_curve_of_a_networks_global_answer_is_worked_out_by_hand(irof, score):
    (curve,) = curves(irof, score, mean_of_image, masks=[[1, 0, 0, 0]], maps=[MAP])
    # Sums 16, 18, 15 and 16.75.
    assert curve.scores.tolist() == [1.0, 1.125, 0.9375, 1.046875]


def test_one_grey_fills_all_channels(irof, score):
    # Pixels (3, 0, 0) and (0, 6, 3): the grey is 12/6 = 2, then (3 + 6)/6 = 1.5.
    image = torch.tensor([[[3.0, 0.0]], [[0.0, 6.0]], [[0.0, 3.0]]])
    segments = np.array([[0, 1]])
    nothing, both = [0, 0], [1, 1]
    _, green, _ = curves(
        irof,
        score,
        masks=[nothing, both, nothing],
        maps=[[0.0, 0.0], [0.1, 0.2], [0.0, 0.0]],
        image=image,
        segments=segments,
    )
    assert green.scores.tolist() == pytest.approx([1.0, (0 + 2) / 6, (1.5 + 2) / 6])


def test_quantus_number_follows_from_the_area_over_the_curve(irof, score):
    (curve,) = curves(irof, score, masks=[[1, 0, 0, 1]], maps=[MAP])
    steps = len(curve.scores) - 1
    area = 1 - np.trapezoid(curve.scores) / steps
    quantus = steps - np.trapezoid(curve.scores[1:])
    assert area == pytest.approx(0.4375 / 3)
    assert quantus == pytest.approx(1.4375)
    assert quantus == pytest.approx(steps * area + (1 + curve.scores[1]) / 2)


def test_superpixels_that_tie_go_in_the_order_of_their_labels(irof, score):
    segments = np.array([[3, 2, 1, 0]])
    (curve,) = curves(
        irof, score, masks=[[1, 1, 1, 1]], maps=[[0.5, 0.5, 0.7, 0.5]], segments=segments
    )
    assert curve.order.tolist() == [1, 0, 2, 3]


def test_greys_of_many_superpixels_are_the_means_of_the_images_step_by_step():
    generator = np.random.default_rng(0)
    image = generator.random((3, 20, 30))
    segments = generator.permutation(600).reshape(20, 30) % 40
    orders = np.stack([generator.permutation(40) for _ in range(2)])
    greys = drifting_greys(image, segments=segments, order=orders)
    for found, order in zip(greys, orders, strict=True):
        current = image.copy()
        for grey, segment in zip(found, order, strict=True):
            assert grey == pytest.approx(current.mean(), rel=1e-12)
            current[:, segments == segment] = current.mean()


def test_images_of_a_removal_differ_in_the_removed_superpixels_alone(irof):
    every = [1, 1, 1, 1]
    removal = irof.removal(explain(masks=[every] * 2, maps=[MAP, [0.1, 0.1, 0.2, 0.3]]))
    assert removal.order.tolist() == [[1, 0, 2], [2, 1, 0]]
    images = removal.images(torch.tensor([0, 1, 0]), torch.tensor([1, 2, 0]))
    # The second group: 2 becomes 16/4 = 4, then the sum is 18 and 2 becomes 4.5.
    assert images[:, 0, 0].tolist() == [[8, 4, 4, 2], [8, 4, 4.5, 4], [8, 4, 2, 2]]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        # (3 + 6 + 3)/6 = 2 takes the first pixel, then (6 + 9)/6 = 2.5 the second.
        ("drifting", [[2.0, 2.5], [2.0, 2.5], [2.0, 2.5]]),
        ("clean", [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]),
        ("channels", [[1.5, 1.5], [3.0, 3.0], [1.5, 1.5]]),
    ],
)
def test_what_a_superpixel_is_filled_with(fill, expected):
    image = torch.tensor([[[3.0, 0.0]], [[0.0, 6.0]], [[0.0, 3.0]]])
    irof = IROF(epsilon=1e-6, order="stable", fill=fill, batch=4)
    explained = explain(masks=[[1, 1]], maps=[[0.2, 0.1]], image=image, segments=np.array([[0, 1]]))
    (filled,) = irof.removal(explained).images(torch.tensor([0]), torch.tensor([2]))
    assert filled[:, 0].tolist() == expected


def test_order_of_numpy_is_that_of_its_default_sort():
    irof = IROF(epsilon=1e-6, order="numpy", fill="drifting", batch=4)
    maps = np.random.default_rng(0).integers(0, 3, size=(2, 200)).astype(np.float32)
    explained = explain(
        masks=np.ones((2, 200)), maps=maps, image=torch.rand(2, 1, 200),
        segments=np.arange(200)[None],
    )  # fmt: skip
    order = irof.removal(explained).order
    assert order.tolist() == np.argsort(-maps.astype(float), axis=1).tolist()


def test_order_of_numpy_comes_from_means_in_the_precision_of_the_maps():
    # Superpixel 1 has the mean 1 + 2**-24, which float32 rounds to 1.
    maps = np.array([[1.0, 1.0, 1.0, 1.0 + 2**-23]], dtype=np.float32)
    explained = explain(masks=[[1] * 4], maps=maps, segments=np.array([[0, 0, 1, 1]]))
    for order, expected in (("stable", [1, 0]), ("numpy", [0, 1])):
        irof = IROF(epsilon=1e-6, order=order, fill="drifting", batch=4)
        assert irof.removal(explained).order.tolist() == [expected]


def three_images():
    """Of two groups and 3, 4 and 1 superpixels; the second image has one group that is fit."""
    every = [1, 1, 1, 1]
    return [
        explain(masks=[every] * 2, maps=[MAP] * 2, image=IMAGE.repeat(2, 1, 1)),
        explain(
            masks=[every, [0] * 4], maps=[MAP] * 2, image=IMAGE.repeat(2, 1, 1) + 1,
            segments=np.array([[0, 1, 2, 3]]),
        ),
        explain(masks=[every] * 2, maps=[MAP] * 2, image=IMAGE.repeat(2, 1, 1), segments=ONE),
    ]  # fmt: skip


def test_batches_are_full_across_groups_and_images(irof, score):
    shapes = []

    def watched(images):
        shapes.append(tuple(images.shape))
        return images

    found = list(irof.curves(watched, score, three_images()))
    # 2 groups of 3 steps, 1 of 4 and none: 10 rows in batches of 4.
    assert shapes == [(4, 2, 1, 4)] * 3
    assert [[curve.status for curve in image] for image in found] == [[1, 1], [1, 2], [6, 6]]


def test_curves_of_an_image_are_those_it_has_alone(irof, score):
    together = list(irof.curves(identity, score, three_images()))
    for image, found in zip(three_images(), together, strict=True):
        (alone,) = irof.curves(identity, score, [image])
        for one, other in zip(alone, found, strict=True):
            assert one.scores.tobytes() == other.scores.tobytes()
            assert one.order.tolist() == other.order.tolist()


def test_images_are_taken_when_a_batch_needs_them(irof, score):
    taken = []

    def images():
        for number, image in enumerate(three_images()):
            taken.append(number)
            yield image

    found = irof.curves(identity, score, images())
    assert taken == []
    next(found)
    assert taken == [0, 1]  # two rows of the second fill the second batch


def test_images_without_rows_do_not_pile_up_behind_a_batch_that_waits(irof, score):
    waiting = most = 0
    fit, _, unfit = three_images()

    def images():
        nonlocal waiting, most
        for image in [fit, *[unfit] * 9, fit]:
            waiting += 1
            most = max(most, waiting)
            yield image

    found = []
    for curves_of_image in irof.curves(identity, score, images()):
        waiting -= 1
        found.append([curve.status for curve in curves_of_image])
    assert found == [[1, 1], *[[6, 6]] * 9, [1, 1]]
    assert most == 4  # `batch`; the last two rows of the first image wait for two more


def test_unfit_items_say_why_and_leave_the_others_alone(irof, score):
    image = torch.cat([IMAGE, -IMAGE, IMAGE, IMAGE, IMAGE])
    every, none = [1, 1, 1, 1], [0, 0, 0, 0]
    found = curves(
        irof,
        score,
        image=image,
        masks=[every, every, none, every, every],
        maps=[MAP, MAP, MAP, [0.0] * 4, [1.0, np.nan, 1.0, 1.0]],
    )
    assert [curve.status for curve in found] == [1, 5, 2, 3, 4]
    assert all(np.isnan(curve.scores).all() and len(curve.scores) == 4 for curve in found[1:])
    assert np.isfinite(found[0].scores).all()


def test_one_superpixel_gives_no_curve(irof, score):
    (curve,) = curves(irof, score, masks=[[1, 1, 1, 1]], maps=[MAP], segments=ONE)
    assert curve.status == 6
    assert len(curve.scores) == 2


def test_an_output_that_stops_being_finite_spoils_its_own_group_alone(irof, score):
    def overflowing(images):
        changed = (images != image).any(dim=(1, 2, 3), keepdim=True)
        return torch.cat([images[:, :1], torch.where(changed, torch.inf, images[:, 1:])], dim=1)

    image = torch.cat([IMAGE, IMAGE])
    first, second = curves(
        irof, score, overflowing, image=image, masks=[[1, 1, 1, 1]] * 2, maps=[MAP] * 2
    )
    assert (first.status, second.status) == (1, 7)
    assert np.isfinite(first.scores).all()
    assert np.isnan(second.scores).all()


def test_a_clean_prediction_that_is_not_finite_is_no_empty_group(irof, score):
    (curve,) = curves(
        irof, score, lambda images: images * torch.nan, masks=[[0, 0, 0, 0]], maps=[MAP]
    )
    assert curve.status == 7


def test_superpixels_with_gaps_are_refused(irof, score):
    with pytest.raises(ValueError, match=r"up to 3 without \[1\]"):
        curves(irof, score, masks=[[1, 1, 1, 1]], maps=[MAP], segments=np.array([[0, 0, 2, 3]]))
