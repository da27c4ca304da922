"""Segmentation by numbers worked by hand: one row of pixels, three classes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchmetrics.classification import MulticlassJaccardIndex

from mtljobs.errors import DataError
from mtljobs.settings import tasks as settings
from mtljobs.tasks.segmentation import Segmentation


@pytest.fixture
def task(info):
    return Segmentation(info=info)


def logits(*pixels):
    """One image of one row from the logits of each pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


def labels(*pixels):
    return torch.tensor([[pixels]])


def test_loss_is_the_mean_cross_entropy_of_labelled_pixels(task):
    prediction = logits([0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0], [9.0, 0.0, 0.0])
    loss = task.loss(prediction, labels(1, 0, -1))
    # Shares of the true class: 1/3 and 2/4; the third pixel is void.
    assert loss.item() == pytest.approx((math.log(3) + math.log(2)) / 2)


def test_loss_and_its_gradient_are_torchs_own(task):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(2, 3, 24, 32, generator=generator)
    target = torch.randint(-1, 3, (2, 24, 32), generator=generator)
    found = []
    for loss in (task.loss, partial(functional.cross_entropy, ignore_index=-1)):
        leaf = prediction.clone().requires_grad_()
        value = loss(leaf, target)
        value.backward()
        found.append((value.detach(), leaf.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_loss_without_labelled_pixels_is_zero_and_teaches_nothing(task):
    prediction = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = task.loss(prediction, torch.full((2, 4, 4), -1))
    loss.backward()
    assert loss.item() == 0
    assert not prediction.grad.any()


def test_metrics_are_pooled_over_batches_and_skip_void_and_unseen_classes(task):
    meter = task.meter()
    first, second, third = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    meter.update(logits(first, first, second), labels(0, 1, 1))
    meter.update(logits(first, third), labels(0, -1))
    # Class 0: 2 right of 3 in the union; class 1: 1 of 2; class 2 only where void.
    assert meter.compute() == pytest.approx({"miou": (2 / 3 + 1 / 2) / 2, "pixel_accuracy": 3 / 4})
    assert meter.arrays()["confusion"].tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_miou_equals_torchmetrics(task):
    generator = torch.Generator().manual_seed(0)
    reference = MulticlassJaccardIndex(num_classes=3, ignore_index=-1)
    meter = task.meter()
    for _ in range(3):
        prediction = torch.randn(2, 3, 8, 8, generator=generator)
        target = torch.randint(-1, 3, (2, 8, 8), generator=generator)
        meter.update(prediction, target)
        reference.update(prediction.argmax(dim=1), target)
    assert meter.compute()["miou"] == pytest.approx(reference.compute().item(), rel=1e-6)


def test_metrics_of_nothing_are_nan_and_named_as_planned(task, info):
    meter = task.meter()
    meter.update(logits([1.0, 0.0, 0.0]), labels(-1))
    values = meter.compute()
    assert tuple(values) == settings.Segmentation.metrics
    assert all(math.isnan(value) for value in values.values())
    assert set(meter.arrays()) == set(settings.Segmentation.arrays)


def test_constant_is_the_most_frequent_class(task):
    constant = task.constant([labels(2, 2, 0), labels(0, 2, -1), labels(-1, -1, -1)])
    assert constant.tolist() == [0, 0, 1]


def test_constant_of_void_images_says_what_to_check(task):
    with pytest.raises(DataError, match="ignore label"):
        task.constant([labels(-1, -1)])


def test_groups_are_the_pixels_predicted_as_each_class(task):
    masks = task.group_masks(logits([3.0, 1.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 1.0]))
    assert masks[0, :, 0].tolist() == [
        [True, False, True],
        [False, True, False],
        [False, False, False],
    ]


def test_evidence_is_the_sum_of_a_classs_logits_over_its_pixels(task):
    prediction = logits([3.0, 1.0, 0.0], [0.0, 1.5, 0.0], [2.0, 0.0, 1.0])
    evidence = task.evidence(prediction, task.group_masks(prediction))
    assert evidence.tolist() == [[5.0, 1.5, 0.0]]


def test_score_is_the_mean_logit_of_the_class_over_its_pixels(task):
    prediction = logits([3.0, 1.0, 0.0], [-1.0, 5.0, 0.0], [7.0, 0.0, 1.0])
    score = task.score(
        prediction.expand(2, -1, -1, -1),
        clean=torch.full((2, 3, 1, 3), np.nan),
        mask=torch.tensor([[[True, True, False]], [[False, True, True]]]),
        group=torch.tensor([0, 1]),
    )
    assert score.tolist() == [1.0, 2.5]
