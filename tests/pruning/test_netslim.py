from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.contracts import ChannelGroup, Step
from mtljobs.errors import GridError, MtljobsError
from mtljobs.pruning.netslim import NetSlim, ScalePenalty, channel_scores, select
from mtljobs.settings import build
from mtljobs.settings import models as model_settings
from mtljobs.settings import pruning as settings

STEP = Step(iteration=0, epoch=0, learning_rate=0.5, losses=list)


class TwoNorms(nn.Module):
    """Two producers tied to one group, and a gate that is tied to it too."""

    def __init__(self, *scales: list[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.BatchNorm2d(len(values)) for values in scales)
        for norm, values in zip(self.layers, scales, strict=True):
            norm.weight.data = torch.tensor(values)

    def norms(self) -> dict[str, tuple[nn.BatchNorm2d, ...]]:
        return {"pair": tuple(self.layers[:2])}


def scores(**groups: list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values) for name, values in groups.items()}


def test_best_channels_of_all_groups_together_stay():
    # In order: .9 (a0), .8 (a2), .3 (b1), .2 (b0), .1 (a1), .05 (b2); half of six stay.
    kept = select(scores(a=[0.9, 0.1, 0.8], b=[0.2, 0.3, 0.05]), sparsity=0.5, floor=1)
    assert kept == {"a": [0, 2], "b": [1]}


def test_floor_is_topped_up_from_the_weakest_of_the_others():
    # Half of six would be a0, a1, a2; b's best stays instead of a's weakest, a1.
    kept = select(scores(a=[0.9, 0.7, 0.8], b=[0.2, 0.3, 0.05]), sparsity=0.5, floor=1)
    assert kept == {"a": [0, 2], "b": [1]}


def test_floor_above_a_groups_width_keeps_the_group_whole():
    kept = select(scores(a=[0.9, 0.7, 0.8], b=[0.1]), sparsity=0.25, floor=2)
    assert kept == {"a": [0, 2], "b": [0]}


def test_of_equal_scores_the_earlier_group_and_the_lower_index_stay():
    kept = select(scores(z=[0.5, 0.5], a=[0.5, 0.5, 0.5, 0.5]), sparsity=0.5, floor=1)
    assert kept == {"z": [0, 1], "a": [0]}


def test_equal_scores_inside_a_group_leave_the_lowest_indices_as_the_floor():
    kept = select(scores(a=[0.1] * 40, b=[0.9] * 40), sparsity=0.5, floor=2)
    assert kept == {"a": [0, 1], "b": list(range(38))}


def test_nothing_goes_at_sparsity_zero():
    assert select(scores(a=[0.0, 0.0]), sparsity=0.0, floor=1) == {"a": [0, 1]}


def test_sparsity_that_would_empty_a_group_is_refused():
    with pytest.raises(GridError, match="keeps 1 of 4 channels, but the floor of 1 in each of 2"):
        select(scores(a=[0.9, 0.8], b=[0.2, 0.3]), sparsity=0.75, floor=1)


def test_scores_of_a_diverged_training_are_refused():
    with pytest.raises(MtljobsError, match="scores of b are not finite"):
        select(scores(a=[0.9], b=[float("nan")]), sparsity=0.0, floor=1)


def test_tied_channels_have_the_mean_size_of_their_producers_scales():
    model = TwoNorms([1.0, -0.5, 0.0], [3.0, 0.25, 0.0], [9.0, 9.0, 9.0])
    group = ChannelGroup(name="pair", width=3, producers=("one", "two"), followers=("gate",))
    assert channel_scores(model, [group])["pair"].tolist() == [2.0, 0.375, 0.0]


def test_subgradient_adds_the_sign_of_the_scale_and_spares_gates():
    model = TwoNorms([2.0, -3.0], [0.0, 0.1], [5.0, 5.0])
    for norm in model.layers:
        norm.weight.grad = torch.tensor([1.0, 1.0])
    hook = ScalePenalty(0.25, form="subgradient")
    hook.after_backward(model, STEP)
    hook.after_step(model, STEP)

    assert [norm.weight.grad.tolist() for norm in model.layers] == [
        [1.25, 0.75],
        [1.0, 1.25],
        [1.0, 1.0],
    ]
    assert model.layers[0].weight.tolist() == [2.0, -3.0]


def test_subgradient_is_the_gradient_of_the_l1_norm():
    model = TwoNorms([0.7, -0.2], [0.4, -1.5])
    for norm in model.layers:
        norm.weight.grad = torch.zeros(2)
    ScalePenalty(0.5, form="subgradient").after_backward(model, STEP)
    copies = [norm.weight.detach().clone().requires_grad_() for norm in model.layers]
    (0.5 * sum(copy.abs().sum() for copy in copies)).backward()

    for norm, copy in zip(model.layers, copies, strict=True):
        torch.testing.assert_close(norm.weight.grad, copy.grad)


def test_proximal_step_shrinks_by_learning_rate_times_penalty_and_stops_at_zero():
    model = TwoNorms([2.0, -3.0], [0.1, -0.125], [5.0, 5.0])
    for norm in model.layers:
        norm.weight.grad = torch.tensor([1.0, 1.0])
    hook = ScalePenalty(0.25, form="proximal")  # times the learning rate of 0.5: 0.125
    hook.after_backward(model, STEP)
    hook.after_step(model, STEP)

    assert [norm.weight.tolist() for norm in model.layers] == [
        [1.875, -2.875],
        [0.0, 0.0],
        [5.0, 5.0],
    ]
    assert model.layers[0].weight.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("form", ["subgradient", "proximal"])
def test_penalty_drives_an_idle_scale_to_zero_and_not_past_it(form):
    model = TwoNorms([0.3, -0.2], [1.0, 0.5])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    hook = ScalePenalty(0.1, form=form)
    for _ in range(40):
        for norm in model.layers:
            norm.weight.grad = torch.zeros(2)
        hook.after_backward(model, STEP)
        optimiser.step()
        hook.after_step(model, STEP)

    for norm in model.layers:
        assert norm.weight.abs().max() <= 0.05  # one step of 0.5 * 0.1 at most


def test_penalty_acts_while_training_and_not_while_tuning(lived_in):
    pruner = build(settings.NetSlim(name="netslim", penalty=0.5))
    [hook] = pruner.hooks("train", lived_in("depth"), sparsity=None, iterations=1)

    assert hook.penalty == 0.5
    assert hook.state_dict() == {}
    assert not pruner.hooks("tune", lived_in("depth"), sparsity=None, iterations=1)


def test_penalty_reaches_every_producer_of_the_network_and_no_gate(lived_in):
    network = lived_in("depth")
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ScalePenalty(1.0, form="subgradient").after_backward(network, STEP)
    touched = {name for name, parameter in network.named_parameters() if parameter.grad.any()}
    producers = [name for group in network.groups for name in group.producers]

    assert touched == {name.removesuffix("conv") + "norm.weight" for name in producers}


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_cut_removes_exactly_the_planned_channels_and_empties_no_group(sparsity, lived_in, images):
    network = lived_in()
    before = sum(network.widths().values())
    cut(network, images, sparsity=sparsity)
    after = network.widths()

    assert before == 1040  # 16,640 / 16
    assert sum(after.values()) == before - round(sparsity * before)
    assert min(after.values()) >= 1
    together = network(images, network.tasks)
    for task in network.tasks:
        alone = network(images, (task,))[task]
        assert alone.isfinite().all()
        assert torch.equal(alone, together[task])


def test_cut_keeps_the_channels_of_the_largest_scales(lived_in, images):
    network = lived_in("depth")
    [norm] = network.norms()["encoder5.a"]
    best = norm.weight.detach().topk(7).indices.sort().values
    expected = norm.weight.detach()[best].clone()
    with torch.no_grad():
        norm.weight *= 100
        norm.weight[[k for k in range(32) if k not in best]] = 0.0
    cut(network, images, sparsity=0.05)

    torch.testing.assert_close(network.norms()["encoder5.a"][0].weight.detach(), 100 * expected)


def test_highest_reachable_sparsity_is_reached_and_the_next_one_is_refused(lived_in, images):
    choice = settings.NetSlim(name="netslim", floor=2)
    groups = model_settings.SegNetMTAN(name="segnet_mtan", width=1 / 16).channel_groups(("depth",))
    highest = choice.reachable(groups).highest
    network = lived_in("depth")
    cut(network, images, sparsity=highest, floor=2)

    assert highest == 0.8846  # 42 groups keep 2 each of 728 channels: 1 - 84 / 728 = 0.88461...
    assert set(network.widths().values()) == {2}
    with pytest.raises(GridError, match="floor of 2"):
        cut(lived_in("depth"), images, sparsity=0.89, floor=2)


def cut(network: nn.Module, images: torch.Tensor, *, sparsity: float, floor: int = 1) -> None:
    pruner = NetSlim(penalty=0.0, penalty_form="subgradient", floor=floor, tune_iterations=None)
    pruner.cut(
        network,
        sparsity=sparsity,
        groups=network.groups,
        batches=iter([{"image": images}]),
        losses=lambda model, batch: {},
    )
