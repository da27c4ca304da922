from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch_pruning
from torch import nn

from mtljobs.errors import MtljobsError
from mtljobs.pruning import surgery

each_architecture = pytest.mark.parametrize(
    "architecture", ["segnet_mtan", "deeplab_resnet"], indirect=True
)


@contextmanager
def silenced(network: nn.Module, kept: dict[str, list[int]]) -> Iterator[nn.Module]:
    """Inside, all other channels are 0 before their ReLU; gates are left alone.

    That is their norms' scales and shifts or, where no norm follows, their filters and biases.
    A network is copied in a third of a second, its weights in milliseconds.
    """
    whole = {name: value.clone() for name, value in network.state_dict().items()}
    norms = network.norms()
    for group in network.groups:
        last = norms.get(group.name) or [network.get_submodule(conv) for conv in group.producers]
        gone = sorted(set(range(len(last[0].weight))) - set(kept[group.name]))
        for module in last:
            with torch.no_grad():
                module.weight[gone] = 0.0
                module.bias[gone] = 0.0
    yield network
    network.load_state_dict(whole)


def every_second(network: nn.Module, *groups: str) -> dict[str, list[int]]:
    """The even channels of some groups, all channels of the others: what is kept."""
    return {
        name: list(range(0, width, 2 if name in groups else 1))
        for name, width in network.widths().items()
    }


def assert_same_predictions(first: nn.Module, second: nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        ours, theirs = first(images, first.tasks), second(images, second.tasks)
    for task in first.tasks:
        torch.testing.assert_close(ours[task], theirs[task], atol=1e-5, rtol=0)


@each_architecture
@pytest.mark.parametrize("tasks", [("segmentation", "depth", "normals"), ("segmentation", "depth")])
def test_traced_network_couples_what_the_channel_groups_state(tasks, lived_in, images):
    network = lived_in(*tasks)
    graph = surgery.trace(network, images)
    for group in network.groups:
        producer = network.get_submodule(group.producers[0])
        cut = graph.get_pruning_group(producer, torch_pruning.prune_conv_out_channels, [1, 3])
        members = (*group.producers, *group.followers)
        assert surgery.coupled(cut, network) == {conv: [1, 3] for conv in members}


def test_tracing_without_the_models_context_misses_the_unpooling(lived_in, images):
    network = lived_in("depth")
    graph = torch_pruning.DependencyGraph().build_dependency(
        network, images, forward_fn=lambda model, inputs: list(model(inputs, ("depth",)).values())
    )
    encoder, decoder = ("conv_block_enc.0.0.conv", "conv_block_dec.1.0.conv")
    cut = graph.get_pruning_group(
        network.get_submodule(encoder), torch_pruning.prune_conv_out_channels, [0]
    )
    assert decoder not in surgery.coupled(cut, network)


@each_architecture
def test_each_group_can_go_alone_and_leaves_what_zeroing_it_leaves(lived_in, images):
    network = lived_in()
    for group in network.widths():
        kept = every_second(network, group)
        narrow = deepcopy(network)
        surgery.narrow(narrow, kept, groups=network.groups, images=images)

        assert narrow.widths() == {name: len(indices) for name, indices in kept.items()}
        with silenced(network, kept) as silent:
            assert_same_predictions(narrow, silent, images)


@each_architecture
@pytest.mark.parametrize("tasks", [("segmentation", "depth", "normals"), ("segmentation", "depth")])
def test_half_of_every_group_leaves_what_zeroing_it_leaves(tasks, lived_in, images):
    network = lived_in(*tasks)
    kept = every_second(network, *network.widths())
    narrow = deepcopy(network)
    surgery.narrow(narrow, kept, groups=network.groups, images=images)

    assert narrow.widths() == {name: width // 2 for name, width in network.widths().items()}
    with torch.no_grad():  # the cut is no matter of rounding
        changes = (network(images, ("depth",))["depth"] - narrow(images, ("depth",))["depth"]).abs()
    assert changes.max() > 0.01
    with silenced(network, kept) as silent:
        assert_same_predictions(narrow, silent, images)


@each_architecture
def test_uneven_cut_leaves_what_zeroing_it_leaves(lived_in, images):
    network = lived_in()
    generator = torch.Generator().manual_seed(11)
    kept = {}
    for name, width in network.widths().items():
        count = int(torch.randint(1, width + 1, (), generator=generator))
        kept[name] = sorted(torch.randperm(width, generator=generator)[:count].tolist())
    narrow = deepcopy(network)
    surgery.narrow(narrow, kept, groups=network.groups, images=images)

    with silenced(network, kept) as silent:
        assert_same_predictions(narrow, silent, images)


@each_architecture
def test_network_built_from_widths_takes_over_the_weights_of_a_cut_one(lived_in, images):
    network = lived_in()
    kept = every_second(network, *network.widths())
    surgery.narrow(network, kept, groups=network.groups, images=images)
    rebuilt = lived_in(widths=network.widths())
    rebuilt.load_state_dict(network.state_dict(), strict=True)

    with torch.no_grad():
        before, after = (model(images, model.tasks) for model in (network, rebuilt))
    assert all(torch.equal(before[task], after[task]) for task in network.tasks)


@each_architecture
def test_two_cuts_leave_what_one_leaves(lived_in, images):
    network = lived_in("depth")
    at_once, in_turn = deepcopy(network), deepcopy(network)
    quarter = {name: list(range(0, width, 4)) for name, width in network.widths().items()}
    surgery.narrow(at_once, quarter, groups=network.groups, images=images)
    for _ in range(2):
        half = every_second(in_turn, *in_turn.widths())
        surgery.narrow(in_turn, half, groups=network.groups, images=images)

    assert in_turn.widths() == at_once.widths()
    assert all(
        torch.equal(value, at_once.state_dict()[name])
        for name, value in in_turn.state_dict().items()
    )


def test_corner_of_one_image_is_enough_for_the_trace(lived_in):
    network = lived_in("depth")
    seen: list[torch.Size] = []
    network.encoder_block[0].register_forward_hook(lambda *call: seen.append(call[2].shape))
    large = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(5))
    surgery.narrow(network, every_second(network, "stage1"), groups=network.groups, images=large)

    assert {(shape[0], *shape[2:]) for shape in seen} == {(1, 64, 64)}
    assert network.widths()["stage1"] == 2


@each_architecture
def test_cut_network_goes_on_learning(lived_in, images):
    network = lived_in().train()
    surgery.narrow(network, every_second(network, "stage2"), groups=network.groups, images=images)
    assert network.training
    sum(p.square().mean() for p in network(images.expand(2, -1, -1, -1), network.tasks).values()
        ).backward()  # fmt: skip
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "forgotten"),
    [
        ("segnet_mtan", "branches.depth.decoder_gates.3.outer.conv"),
        ("deeplab_resnet", "backbone.layer3.0.downsample.0"),
    ],
    indirect=["architecture"],
)
def test_groups_that_the_forward_pass_contradicts_are_refused(forgotten, lived_in, images):
    network = lived_in("depth")
    wrong = [
        replace(group, producers=group.producers[:1], followers=())
        if group.name == "stage3"
        else group
        for group in network.groups
    ]
    with pytest.raises(MtljobsError, match=rf"group stage3 states.*{re.escape(forgotten)}"):
        surgery.narrow(network, every_second(network, "stage3"), groups=wrong, images=images)
    assert network.widths() == lived_in("depth").widths()
