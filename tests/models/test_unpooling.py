"""Where max-unpooling puts values back, by torch's choice and by the first of ties."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.models.segnet_mtan import SegNetMTAN
from mtljobs.models.unpooling import TIE, FirstPool, Unpool


@pytest.fixture
def first():
    return FirstPool().eval()


def windows(*rows):
    """One image of one channel."""
    return torch.tensor([[rows]])


def test_unpooling_puts_each_value_where_it_was_the_maximum():
    features = windows([1.0, 2.0, 0.0, 7.0], [4.0, 3.0, 5.0, 6.0])
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(features)
    expected = [[0.0, 0.0, 0.0, 7.0], [4.0, 0.0, 0.0, 0.0]]
    assert Unpool()(pooled, indices)[0, 0].tolist() == expected


def test_unpooling_keeps_layout_values_and_gradients_where_channels_lie_together():
    features = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(5))
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = features.clone(memory_format=layout).requires_grad_()
        unpooled = Unpool()(*nn.MaxPool2d(2, return_indices=True)(leaf))
        (unpooled * features).sum().backward()
        assert unpooled.is_contiguous(memory_format=layout)
        found.append((unpooled, leaf.grad))
    for separate, together in zip(*found, strict=True):
        assert torch.equal(separate, together)


def test_unpooling_equals_torchs_own():
    features = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(features)
    assert torch.equal(Unpool()(pooled, indices), nn.MaxUnpool2d(2)(pooled, indices))


@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (1, 1, 2, 2), (3, 2, 64, 32)])
def test_pooling_without_ties_is_torchs(first, shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(3)).exp()
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(features)
    ours, found = first(features)
    assert torch.equal(ours, pooled)
    assert torch.equal(found, indices)


def test_first_of_equal_values_wins_and_the_maximum_is_carried_on(first):
    below, above = 8.0 * (1 - 0.9 * TIE), 8.0 * (1 - 1.1 * TIE)
    # The first within the tolerance; one that is too low; the third place; the last.
    features = windows(
        [below, 8.0, above, 8.0, 0.0, 1.0, 0.0, 1.0], [8.0, 8.0, 8.0, 0.0, below, 8.0, 1.0, 8.0]
    )
    pooled, indices = first(features)
    assert pooled.flatten().tolist() == [8.0] * 4
    assert indices.flatten().tolist() == [0, 3, 8 + 4, 8 + 7]


def test_windows_of_the_next_row_are_counted_on(first):
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 2, 3] = features[0, 0, 1, 0] = 1.0
    assert first(features)[1].tolist() == [[[[4, 2], [8, 11]]]]


def test_tolerance_is_of_the_size_of_a_maximum_below_zero_too(first):
    features = windows([-8.0 * (1 + 0.9 * TIE), -8.0], [-9.0, -8.0])
    pooled, indices = first(features)
    assert (pooled.item(), indices.item()) == (-8.0, 0)


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_rounding_moves_no_index(first, size):
    # A plane of one value, but for rounding; torch's indices follow the noise.
    noise = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    features = size * (1 + 1e-6 * noise)
    expected = nn.MaxPool2d(2, return_indices=True)(torch.ones_like(features))[1]
    assert torch.equal(first(features)[1], expected)
    assert not torch.equal(nn.MaxPool2d(2, return_indices=True)(features)[1], expected)


def test_nan_is_carried_on(first):
    pooled, _ = first(windows([1.0, torch.nan], [2.0, 3.0]))
    assert pooled.isnan().all()


def test_training_takes_torchs_choice():
    features = windows([8.0 * (1 - TIE / 2), 8.0], [0.0, 0.0]).requires_grad_()
    pooled, indices = FirstPool().train()(features)
    pooled.sum().backward()
    assert indices.item() == 1
    assert features.grad.tolist() == [[[[0, 1], [0, 0]]]]


def test_networks_that_differ_in_ties_have_the_same_weights_and_learn_alike():
    images = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(5))
    found = []
    for ties in ("torch", "first"):
        torch.manual_seed(0)
        network = SegNetMTAN(width=1 / 32, pool_ties=ties, channels={"depth": 1}, widths=None)
        network.train()(images, ("depth",))["depth"].square().mean().backward()
        found.append({name: p.grad for name, p in network.named_parameters()})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_network_answers_alike_where_rounding_disturbs_a_filled_image():
    torch.manual_seed(0)
    grey = torch.full((1, 3, 64, 64), 0.5)
    # As large as rounding, and at the image, so that no value of a window stays what it was.
    disturbed = grey * (1 + 1e-6 * torch.randn(grey.shape))
    deviations = {}
    for ties in ("torch", "first"):
        torch.manual_seed(0)
        network = SegNetMTAN(width=1 / 16, pool_ties=ties, channels={"depth": 1}, widths=None)
        with torch.inference_mode():
            before, after = (network.eval()(i, ("depth",))["depth"] for i in (grey, disturbed))
        deviations[ties] = ((after - before).abs().max() / before.abs().max()).item()
    assert deviations["first"] < 1e-4 < deviations["torch"]
