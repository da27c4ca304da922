"""Normals by numbers worked by hand: one row of pixels, angles that are known."""

from __future__ import annotations

import math

import pytest
import torch

from mtljobs.errors import DataError
from mtljobs.settings import tasks as settings
from mtljobs.tasks.normals import Normals

X, Z, INVALID = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)


@pytest.fixture
def task(info):
    return Normals(info=info)


def normals(*pixels):
    """One image of one row."""
    return torch.tensor(pixels).T[None, :, None, :]


def tilted(degrees):
    """Z turned towards x."""
    return math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees))


def test_loss_is_one_minus_the_mean_cosine_of_valid_pixels(task):
    loss = task.loss(normals(Z, tilted(60), X), normals(Z, Z, INVALID))
    assert loss.item() == pytest.approx(0.25)


def test_a_valid_normal_may_sum_to_zero(task):
    opposed = (math.sqrt(0.5), 0.0, -math.sqrt(0.5))
    loss = task.loss(normals(opposed, Z), normals(tuple(-x for x in opposed), Z))
    assert loss.item() == pytest.approx(1.0)


def test_loss_without_valid_pixels_is_zero_and_teaches_nothing(task):
    prediction = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = task.loss(prediction, torch.zeros(2, 3, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert not prediction.grad.any()


def test_invalid_pixels_teach_nothing_beside_valid_ones(task):
    prediction = normals(X, X).requires_grad_()
    task.loss(prediction, normals(Z, INVALID)).backward()
    assert prediction.grad[..., 0].any()
    assert not prediction.grad[..., 1].any()


def test_angles_are_pooled_over_the_valid_pixels_of_all_batches(task):
    meter = task.meter()
    meter.update(normals(tilted(10), tilted(20), X), normals(Z, Z, INVALID))
    meter.update(normals(tilted(25), tilted(90)), normals(Z, Z))
    # A mean of the batches' medians would be 36.25.
    assert meter.compute() == pytest.approx(
        {
            "angle_mean": 36.25,
            "angle_median": 22.5,
            "within_11": 0.25,
            "within_22": 0.5,
            "within_30": 0.75,
        }
    )


def test_a_perfect_prediction_has_no_angle_at_all(task):
    meter = task.meter()
    target = torch.nn.functional.normalize(torch.randn(2, 3, 8, 8), dim=1)
    meter.update(target, target)
    assert meter.compute()["angle_mean"] < 1e-5


def test_angles_of_nothing_are_nan_and_named_as_planned(task):
    meter = task.meter()
    meter.update(normals(X), normals(INVALID))
    values = meter.compute()
    assert tuple(values) == settings.Normals.metrics
    assert all(math.isnan(value) for value in values.values())
    assert set(meter.arrays()) == set(settings.Normals.arrays)


def test_constant_is_the_mean_direction(task):
    constant = task.constant([normals(X, INVALID), normals(Z)])
    assert constant.tolist() == pytest.approx([math.sqrt(0.5), 0.0, math.sqrt(0.5)])


def test_constant_of_invalid_images_says_what_to_check(task):
    with pytest.raises(DataError, match="normals"):
        task.constant([normals(INVALID, INVALID)])


def test_octants_follow_the_signs_in_the_planned_order_and_zero_is_positive(task, info):
    names = settings.Normals(name="normals").groups(info)
    for name in names:
        signs = tuple(1.0 if sign == "+" else -1.0 for sign in name)
        masks = task.group_masks(normals(signs))
        assert masks.flatten().nonzero().item() == names.index(name)
    masks = task.group_masks(normals((0.0, -0.0, -1.0), (-1.0, 0.0, 0.0)))
    assert masks.float().argmax(dim=1).flatten().tolist() == [
        names.index("++-"),
        names.index("-++"),
    ]


def test_evidence_is_the_projection_on_the_centre_of_the_octant(task):
    prediction = normals((0.6, 0.0, 0.8), (0.6, -0.8, 0.0), (0.0, 1.0, 0.0))
    evidence = task.evidence(prediction, task.group_masks(prediction))
    expected = [(1.4 + 1.0) / math.sqrt(3), 0, 1.4 / math.sqrt(3), 0, 0, 0, 0, 0]
    assert evidence[0].tolist() == pytest.approx(expected)


def test_score_is_the_mean_cosine_to_the_clean_prediction(task):
    clean = normals(Z, Z, X)
    score = task.score(
        normals(tilted(60), Z, Z).expand(2, -1, -1, -1),
        clean=clean.expand(2, -1, -1, -1),
        mask=torch.tensor([[[True, True, False]], [[False, False, True]]]),
        group=torch.tensor([0, 0]),
    )
    assert score.tolist() == pytest.approx([0.75, 0.0], abs=1e-6)
