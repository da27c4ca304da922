from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.errors import GridError
from mtljobs.models.segnet_mtan import ConvBlock, Gate, SegNetMTAN
from mtljobs.settings import models as settings

NYU = {"segmentation": 13, "depth": 1, "normals": 3}
CITYSCAPES = {"segmentation": 7, "depth": 1}
EVERY_SHARED_BLOCK = [
    f"{part}.{k}"
    for part in ("encoder_block", "conv_block_enc", "decoder_block", "conv_block_dec")
    for k in range(5)
]


def without_storage(channels: dict[str, int], widths: dict[str, int] | None = None) -> SegNetMTAN:
    with torch.device("meta"):
        return SegNetMTAN(width=1.0, pool_ties="torch", channels=channels, widths=widths)


def small(channels: dict[str, int] = NYU, seed: int = 0) -> SegNetMTAN:
    torch.manual_seed(seed)
    return SegNetMTAN(width=1 / 16, pool_ties="torch", channels=channels, widths=None)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(5))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("channels", "dense", "halved"),
    [(NYU, 44_229_073, 11_105_137), (CITYSCAPES, 41_206_984, 10_336_168)],
)
def test_parameter_counts_are_the_published_ones_dense_and_halved(channels, dense, halved):
    network = without_storage(channels)
    half = {name: width // 2 for name, width in network.widths().items()}

    assert parameters(network) == dense
    assert parameters(without_storage(channels, half)) == halved


def test_shared_convolutions_have_the_parameters_of_a_vgg16_encoder_and_its_mirror():
    network = without_storage(NYU)
    shared = ("encoder_block.", "conv_block_enc.", "decoder_block.", "conv_block_dec.")
    count = sum(p.numel() for name, p in network.named_parameters() if name.startswith(shared))
    assert count == 24_943_296


@pytest.mark.parametrize(
    ("channels", "groups", "distinct"), [(NYU, 62, 16_640), (CITYSCAPES, 52, 14_144)]
)
def test_channel_groups_hold_every_prunable_channel_once(channels, groups, distinct):
    stated = settings.SegNetMTAN(name="segnet_mtan").channel_groups(tuple(channels))
    members = [conv for group in stated for conv in (*group.producers, *group.followers)]

    assert len({group.name for group in stated}) == len(stated) == groups
    assert sum(group.width for group in stated) == distinct
    assert len(set(members)) == len(members)
    assert len(members) + 2 * len(channels) == 36 + 22 * len(channels)  # and two in each head


def test_group_of_stage_2_ties_encoder_decoder_and_the_gates_between():
    groups = settings.SegNetMTAN(name="segnet_mtan").channel_groups(("depth",))
    [stage] = [group for group in groups if group.name == "stage2"]

    assert stage.width == 128
    assert stage.producers == ("conv_block_enc.1.0.conv", "conv_block_dec.2.1.conv")
    assert stage.followers == (
        "branches.depth.encoder_gates.1.outer.conv",
        "branches.depth.decoder_gates.2.outer.conv",
    )


@pytest.mark.parametrize("channels", [NYU, CITYSCAPES])
def test_settings_state_convolutions_and_widths_as_they_are_built(channels):
    choice = settings.SegNetMTAN(name="segnet_mtan", width=1 / 16)
    network = small(channels)
    convolutions = tuple(
        name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)
    )
    assert choice.convolutions(tuple(channels)) == convolutions
    for group in choice.channel_groups(tuple(channels)):
        members = (*group.producers, *group.followers)
        assert {network.get_submodule(name).out_channels for name in members} == {group.width}


def test_every_producer_has_its_norm_and_no_gate_has_one():
    network = small()
    norms = network.norms()
    listed = [norm for group in norms.values() for norm in group]
    blocks = [module for module in network.modules() if isinstance(module, ConvBlock)]
    rectified = {block.norm for block in blocks if isinstance(block.activation, nn.ReLU)}

    assert set(listed) == rectified
    assert len(listed) == len(rectified) == 66  # 26 shared, 10 attention, 10 per task
    assert norms["stage1"] == (
        network.conv_block_enc[0][0].norm,
        network.conv_block_dec[1][0].norm,
    )


def test_one_task_alone_gives_the_bits_that_it_gives_among_all(images):
    network = small().eval()
    with torch.no_grad():
        together = network(images, ("segmentation", "depth", "normals"))
        for task, prediction in together.items():
            assert torch.equal(network(images, (task,))[task], prediction)
    assert [together[task].shape for task in NYU] == [
        (2, 13, 32, 64),
        (2, 1, 32, 64),
        (2, 3, 32, 64),
    ]


def test_branches_that_are_not_asked_for_do_not_run(images):
    network = small().eval()
    ran: list[str] = []
    for task, branch in network.branches.items():
        branch.head.register_forward_hook(lambda *_, task=task: ran.append(task))

    assert set(network(images, ("depth",))) == {"depth"}
    assert ran == ["depth"]


def test_predictions_are_the_heads_output_but_for_the_length_of_normals(images):
    network = small()
    raw: dict[str, torch.Tensor] = {}
    for task, branch in network.branches.items():
        branch.head.register_forward_hook(lambda *call, task=task: raw.update({task: call[2]}))
    predictions = network(images, network.tasks)

    assert torch.equal(predictions["segmentation"], raw["segmentation"])
    assert torch.equal(predictions["depth"], raw["depth"])
    torch.testing.assert_close(
        predictions["normals"].square().sum(dim=1), torch.ones(2, 32, 64), atol=1e-5, rtol=0
    )
    assert torch.equal(predictions["normals"].sign(), raw["normals"].sign())


def test_normal_of_length_zero_stays_finite(images):
    network = small().eval()
    nn.init.zeros_(network.branches["normals"].head.output.weight)
    prediction = network(images, ("normals",))["normals"]
    prediction.sum().backward()

    assert torch.equal(prediction, torch.zeros(2, 3, 32, 64))
    assert network.encoder_block[0].conv.weight.grad.isfinite().all()


def test_shared_attention_sees_every_task_and_the_trunk_sees_the_image_once(images):
    network = small().train()
    network(images, network.tasks)

    assert network.encoder_block_att[2].norm.num_batches_tracked == 3
    assert network.decoder_block_att[0].norm.num_batches_tracked == 3
    assert network.conv_block_enc[4][1].norm.num_batches_tracked == 1
    assert network.branches["depth"].encoder_gates[0].inner.norm.num_batches_tracked == 1


def test_gate_that_has_no_opinion_lets_half_through():
    gate = Gate(2, 2, 2).eval()
    nn.init.zeros_(gate.outer.norm.weight)
    gated = torch.tensor([4.0, -2.0]).reshape(1, 2, 1, 1)

    assert gate(torch.rand(1, 2, 1, 1), gated).flatten().tolist() == [2.0, -1.0]


@pytest.mark.parametrize("layer", EVERY_SHARED_BLOCK)
def test_explained_layer_is_as_large_as_its_settings_say(layer, images):
    network = small().eval()
    seen: list[torch.Tensor] = []
    network.get_submodule(layer).register_forward_hook(lambda *call: seen.append(call[2]))
    network(images, ("depth",))
    size = settings.SegNetMTAN(name="segnet_mtan").layer_size(layer, (32, 64))

    assert seen[0].shape[-2:] == size
    assert (seen[0] >= 0).all()


def test_misspelt_layer_is_answered_with_the_nearest_ones():
    with pytest.raises(GridError, match=r"'conv_blok_dec\.0'.*nearest: conv_block_dec\.0"):
        settings.SegNetMTAN(name="segnet_mtan").layer_size("conv_blok_dec.0", (32, 64))


def test_last_shared_layer_is_as_large_as_the_image_and_the_bottleneck_a_16th():
    choice = settings.SegNetMTAN(name="segnet_mtan")
    assert choice.layer_size(choice.layers["last_shared"], (64, 96)) == (64, 96)
    assert choice.layer_size(choice.layers["bottleneck"], (64, 96)) == (4, 6)


def test_no_activation_works_in_place():
    assert not any(getattr(module, "inplace", False) for module in small().modules())


def test_image_that_cannot_be_halved_five_times_is_refused():
    with pytest.raises(ValueError, match="multiples of 32, received 48 x 64"):
        small()(torch.zeros(1, 3, 48, 64), ("depth",))


def test_task_without_a_branch_is_refused(images):
    with pytest.raises(ValueError, match="built for segmentation, depth; it has no branch for nor"):
        small(CITYSCAPES)(images, ("depth", "normals"))


def test_same_seed_gives_the_same_weights_and_another_gives_others():
    first, again, other = (small(seed=seed).state_dict() for seed in (1, 1, 2))
    name = "conv_block_enc.2.0.conv.weight"

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])


def test_convolutions_start_xavier_normal_and_without_bias():
    network = small()
    conv = network.conv_block_enc[4][0].conv  # 32 to 32 channels, 3 x 3: fans of 288 and 288
    assert conv.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.03)
    assert conv.weight.abs().max() > 3 * conv.weight.std()  # a uniform draw ends at 1.73
    assert not any(p.any() for name, p in network.named_parameters() if "conv.bias" in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage3": 0}, "group stage3 has 1 to 16 channels, received 0"),
        ({"stage3": 17}, "group stage3 has 1 to 16 channels, received 17"),
        ({"stage9": 4}, "62 channel groups; received 63.*: stage9"),
    ],
)
def test_widths_that_no_cut_can_leave_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SegNetMTAN(
            width=1 / 16, pool_ties="torch", channels=NYU, widths={**small().widths(), **change}
        )


def test_width_rounds_and_leaves_every_group_a_channel():
    network = SegNetMTAN(width=0.001, pool_ties="torch", channels=CITYSCAPES, widths=None).eval()
    assert set(network.widths().values()) == {1}
    assert network(torch.zeros(1, 3, 32, 32), ("depth",))["depth"].isfinite().all()


def test_network_learns_under_deterministic_algorithms(images):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # torch's own unpooling raises here
    try:
        network = small().train()
        sum(p.square().mean() for p in network(images, network.tasks).values()).backward()
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_tracing_context_restores_the_network(images):
    network = small().eval()
    with torch.no_grad():
        before = network(images, ("depth",))["depth"]
        with network.traceable():
            assert network(images, ("depth",))["depth"].shape == before.shape
        assert torch.equal(network(images, ("depth",))["depth"], before)
