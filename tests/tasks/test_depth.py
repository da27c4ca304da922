"""Depth by numbers worked by hand: one row of pixels, 10 m to the full scale."""

from __future__ import annotations

import math

import pytest
import torch

from mtljobs.errors import DataError
from mtljobs.settings import tasks as settings
from mtljobs.tasks.depth import Depth


@pytest.fixture
def task(info):
    return Depth(bins=5, info=info)


def depths(*pixels):
    """One image of one row."""
    return torch.tensor([[[pixels]]])


def test_loss_is_the_mean_absolute_error_of_valid_pixels(task):
    assert task.loss(depths(1.0, 5.0, 9.0), depths(2.0, 2.0, 0.0)).item() == 2.0


def test_loss_without_valid_pixels_is_zero_and_teaches_nothing(task):
    prediction = torch.randn(2, 1, 4, 4, requires_grad=True)
    loss = task.loss(prediction, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert not prediction.grad.any()


def test_errors_are_pooled_over_the_valid_pixels_of_all_batches(task):
    meter = task.meter()
    meter.update(depths(1.0, 5.0, 9.0), depths(2.0, 4.0, 0.0))
    meter.update(depths(3.0), depths(8.0))
    # Errors 1, 1, 5 of depths 2, 4, 8.
    assert meter.compute() == pytest.approx({"abs_error": 7 / 3, "rel_error": 1.375 / 3})


def test_errors_of_nothing_are_nan_and_named_as_planned(task):
    meter = task.meter()
    meter.update(depths(1.0), depths(0.0))
    values = meter.compute()
    assert tuple(values) == settings.Depth.metrics
    assert all(math.isnan(value) for value in values.values())
    assert set(meter.arrays()) == set(settings.Depth.arrays)


def test_constant_is_the_median_of_valid_depths(task):
    assert task.constant([depths(4.0, 0.0, 1.0), depths(2.0, 9.0)]).tolist() == [3.0]


def test_constant_of_invalid_images_says_what_to_check(task):
    with pytest.raises(DataError, match="scale"):
        task.constant([depths(0.0, 0.0)])


def test_bins_are_equal_and_the_last_one_holds_the_full_scale(task):
    masks = task.group_masks(depths(-1.0, 0.0, 1.9, 2.0, 7.9, 8.0, 10.0, 30.0))
    assert masks.float().argmax(dim=1).flatten().tolist() == [0, 0, 0, 1, 3, 4, 4, 4]
    assert (masks.sum(dim=1) == 1).all()


def test_evidence_is_the_sum_of_the_depth_over_a_bin(task):
    prediction = depths(1.0, 1.5, 3.0, 30.0)
    evidence = task.evidence(prediction, task.group_masks(prediction))
    assert evidence.tolist() == [[2.5, 3.0, 0.0, 0.0, 30.0]]


def test_score_is_one_minus_the_mean_relative_change_of_the_bin(task):
    clean = depths(2.0, 4.0, 4.0, 0.0)
    score = task.score(
        depths(3.0, 3.0, 4.0, 1.0).expand(3, -1, -1, -1),
        clean=clean.expand(3, -1, -1, -1),
        mask=torch.tensor(
            [
                [[True, True, False, False]],
                [[False, False, True, False]],
                [[True, True, True, True]],
            ]
        ),
        group=torch.tensor([0, 1, 2]),
    )
    # Changes 1/2 and 1/4; none; and one of a depth of 0, which no score survives.
    assert score.tolist() == [0.625, 1.0, 0.0]
