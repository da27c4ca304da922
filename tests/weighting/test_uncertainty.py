from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torchjd import scalarization

from mtljobs.settings import build
from mtljobs.settings import weighting as settings

TASKS = ("segmentation", "depth", "normals")


def uncertainty(log_variance=0.0):
    choice = settings.Uncertainty(name="uncertainty", log_variance=log_variance)
    return build(choice, tasks=TASKS)


def log_variances(weighting):
    return weighting.state_dict()["values"]


def test_sum_is_loss_over_twice_the_variance_plus_half_its_logarithm(make_step, named):
    # A variance of 4: 8/8 + 16/8 + 0/8 and three halves of log 4.
    combined = uncertainty(math.log(4)).combine(named(torch.tensor([8.0, 16.0, 0.0])), make_step())
    assert combined.item() == pytest.approx(1 + 2 + 1.5 * math.log(4))


def test_it_is_torchjds_weighting_inside_one_adam(make_step, named):
    torch.manual_seed(0)
    images, targets = torch.randn(20, 4, 5), torch.randn(20, 4, 3)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    weighting, other = uncertainty(), scalarization.UW(len(TASKS))
    our_adam = torch.optim.Adam(ours.parameters(), lr=1e-2)
    their_adam = torch.optim.Adam([*theirs.parameters(), *other.parameters()], lr=1e-2)
    for image, target in zip(images, targets, strict=True):
        their_adam.zero_grad()
        other((theirs(image) - target).square().mean(0)).backward()
        their_adam.step()

        step = make_step(learning_rate=1e-2)
        our_adam.zero_grad()
        weighting.combine(named((ours(image) - target).square().mean(0)), step).backward()
        our_adam.step()
        weighting.after_step(ours, step)
    torch.testing.assert_close(log_variances(weighting), other.log_var.detach())
    torch.testing.assert_close(ours.weight, theirs.weight)
    assert log_variances(weighting).abs().max() > 0.05


def test_learning_rate_is_the_networks_at_each_step(make_step, named):
    weighting = uncertainty()
    moved = []
    for rate in (1e-2, 0.0, 5e-3):
        before = log_variances(weighting).clone()
        step = make_step(learning_rate=rate)
        weighting.combine(named(torch.tensor([3.0, 3.0, 3.0])), step)
        weighting.after_step(nn.Identity(), step)
        moved.append((log_variances(weighting) - before).abs().max().item())
    assert moved[0] == pytest.approx(1e-2, rel=1e-4)
    assert moved[1] == 0.0
    assert moved[2] == pytest.approx(5e-3, rel=0.1)


def test_parts_of_a_batch_teach_what_the_whole_does(make_step, named):
    losses = torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 5.0]])
    whole, parts = uncertainty(), uncertainty()
    whole.combine(named(losses.mean(0)), make_step())
    for part in losses:
        parts.combine(named(part), make_step())
    for weighting in (whole, parts):
        weighting.after_step(nn.Identity(), make_step())
    assert torch.equal(log_variances(parts), log_variances(whole))
    # The second task's mean loss, 1, is what its variance says: nothing to learn.
    assert (log_variances(parts) != 0).tolist() == [True, False, True]
