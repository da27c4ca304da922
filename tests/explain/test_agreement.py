"""How far curves are apart, what an engine feeds the network, and where that pools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mtljobs.contracts import Curve, Explained
from mtljobs.explain.agreement import fed_images, pooling_positions, score_deviation
from mtljobs.explain.irof import IROF
from mtljobs.explain.quantus_irof import QuantusIROF
from mtljobs.explain.superpixels import SLIC


def curve(*scores):
    steps = len(scores) - 1
    return Curve(np.array(scores), np.arange(steps), np.ones(steps), status=1)


def test_scores_are_apart_in_parts_of_quantus_number_or_of_1():
    # The areas over steps 1 to 2 are 2 - 0.25, 2 - 0.5; over steps 1 to 4, 4 - 0 and 4 - 0.5.
    assert score_deviation(curve(1, 0.25, 0.25), curve(1, 0.5, 0.5)) == pytest.approx(0.25 / 1.5)
    assert score_deviation(curve(1, 0, 0, 0, 1), curve(1, 0, 0, 0, 0)) == pytest.approx(0.5 / 4)
    # 2 - 1.75 is less than the 1 of an answer that never changes.
    assert score_deviation(curve(1, 2, 2), curve(1, 1.75, 1.75)) == pytest.approx(0.25)


def test_both_engines_feed_the_same_images_step_by_step(image):
    shown = torch.tensor(image)
    explained = Explained(
        image=shown,
        clean=torch.zeros(4, 3, 3),
        masks=torch.ones(2, 3, 3, dtype=torch.bool),
        maps=torch.rand(2, 24, 32),
        segments=SLIC(n_segments=100, compactness=10.0).segments(image),
    )
    ours = IROF(epsilon=1e-6, order="stable", fill="drifting", batch=7)
    batches = fed_images(ours, explained, group=1)
    theirs = fed_images(QuantusIROF(epsilon=1e-6, batch=7), explained, group=1)
    assert {len(images) for images in batches} == {7}
    assert torch.equal(theirs[0][0], shown)
    steps = len(theirs) - 1
    assert steps == explained.segments.max() + 1
    assert torch.cat(batches)[:steps] == pytest.approx(torch.cat(theirs[1:]), abs=1e-6)


def test_positions_of_pooling_are_those_of_one_image_of_the_batch():
    pool = nn.MaxPool2d(2, return_indices=True)
    images = torch.tensor([[[[4.0, 3.0], [2.0, 1.0]]], [[[1.0, 2.0], [3.0, 4.0]]]])
    network = nn.ModuleList([pool])
    [first], [second] = (
        pooling_positions(network, lambda images: pool(images)[0], images, row) for row in (0, 1)
    )
    assert (first.item(), second.item()) == (0, 3)


def test_network_without_pooling_indices_has_no_positions():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2))
    assert pooling_positions(network, network, torch.rand(1, 3, 8, 8), 0) == []
