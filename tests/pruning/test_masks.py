from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mtljobs.contracts import Step
from mtljobs.pruning.masks import MaskKeeper, masked_convolutions, owner, prepare_masks, set_mask

STEP = Step(iteration=0, epoch=0, learning_rate=0.1, losses=list)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def random_mask(convolution: nn.Conv2d) -> torch.Tensor:
    return torch.rand(convolution.weight.shape, generator=torch.manual_seed(1)) < 0.5


def train(model: nn.Module, optimiser: torch.optim.Optimizer, *, steps: int) -> None:
    keeper = MaskKeeper()
    images = torch.rand(2, 3, 5, 5, generator=torch.manual_seed(2))
    for _ in range(steps):
        optimiser.zero_grad()
        (model(images) - 1.0).square().sum().backward()
        keeper.after_backward(model, STEP)
        optimiser.step()
        keeper.after_step(model, STEP)


def test_masked_weight_stays_zero_under_adam_with_weight_decay() -> None:
    model = net()
    kept = random_mask(model[0])
    set_mask(model[0], kept)
    before = model[0].weight.detach().clone()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.5)
    train(model, optimiser, steps=25)

    assert (model[0].weight[~kept] == 0.0).all()
    assert (model[0].weight[kept] != before[kept]).all()
    for moment in ("exp_avg", "exp_avg_sq"):
        assert (optimiser.state[model[0].weight][moment][~kept] == 0.0).all()


def test_weight_masked_in_the_middle_of_a_training_stays_zero_though_its_moments_live_on() -> None:
    model = net()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.5)
    train(model, optimiser, steps=3)
    kept = random_mask(model[0])
    set_mask(model[0], kept)
    for _ in range(3):
        assert optimiser.state[model[0].weight]["exp_avg"][~kept].any()
        train(model, optimiser, steps=1)
        assert (model[0].weight[~kept] == 0.0).all()


def test_keeper_leaves_layers_without_a_mask_alone() -> None:
    model, bare = net(), net()
    for network in (model, bare):
        network[0].weight.grad = torch.ones_like(network[0].weight)
        network[2].weight.grad = torch.ones_like(network[2].weight)
    set_mask(model[0], random_mask(model[0]))
    MaskKeeper().after_backward(model, STEP)
    MaskKeeper().after_step(model, STEP)

    assert list(masked_convolutions(model)) == ["0"]
    assert torch.equal(model[2].weight, bare[2].weight)
    assert torch.equal(model[2].weight.grad, bare[2].weight.grad)
    assert torch.equal(model[0].bias, bare[0].bias)


def test_masks_travel_in_the_state_dict() -> None:
    model, other = net(), net()
    kept = random_mask(model[0])
    set_mask(model[0], kept, agreement=0.25)
    set_mask(model[2], torch.ones(2, 4, 1, 1, dtype=torch.bool))
    state = model.state_dict()
    prepare_masks(other, state)
    other.load_state_dict(state)

    assert torch.equal(other[0].get_buffer("weight_mask"), kept)
    assert other[0].get_buffer("mask_agreement").item() == 0.25
    assert math.isnan(other[2].get_buffer("mask_agreement").item())
    assert torch.equal(other[0].weight, model[0].weight)


def test_mask_of_a_layer_that_the_network_lacks_is_left_to_the_loader_to_refuse() -> None:
    model = net()
    state = model.state_dict() | {"7.weight_mask": torch.ones(1, dtype=torch.bool)}
    prepare_masks(model, state)
    with pytest.raises(RuntimeError, match=r"7\.weight_mask"):
        model.load_state_dict(state)


def test_replaced_mask_opens_weights_at_zero() -> None:
    model = net()
    kept = random_mask(model[0])
    set_mask(model[0], kept)
    set_mask(model[0], torch.ones_like(kept))

    assert (model[0].weight[~kept] == 0.0).all()
    assert model[0].weight[kept].all()


@pytest.mark.parametrize(
    ("layer", "task"),
    [
        ("branches.depth.encoder_gates.0.inner.conv", "depth"),
        ("branches.normals", "normals"),
        ("layer4.2.conv2", None),
        ("stem.branches.depth", None),
    ],
)
def test_layer_below_a_branch_belongs_to_its_task(layer: str, task: str | None) -> None:
    assert owner(layer) == task
