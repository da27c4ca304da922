from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from mtljobs.errors import WeightsError
from mtljobs.models.complexity import count
from mtljobs.models.deeplab_resnet import DeepLabResNet
from mtljobs.settings import models as settings

NYU = {"segmentation": 40, "normals": 3}
CITYSCAPES = {"segmentation": 19, "depth": 1}
IMAGENET = settings.WeightsFile(sha256="0" * 64)


def make(
    channels: dict[str, int] = NYU,
    *,
    width: float = 1 / 16,
    backbone: settings.WeightsFile | None = None,
    input_scaling: str | None = None,
) -> DeepLabResNet:
    torch.manual_seed(0)
    return DeepLabResNet(
        width=width,
        backbone=backbone,
        input_scaling=input_scaling,
        channels=channels,
        widths=None,
    )


def without_storage(channels: dict[str, int]) -> DeepLabResNet:
    with torch.device("meta"):
        return make(channels, width=1.0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 33, 49, generator=torch.Generator().manual_seed(5))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv_weights(module: nn.Module) -> list[int]:
    return [m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(
    ("channels", "total", "prunable"),
    [(NYU, 67_614_700, 67_581_120), (CITYSCAPES, 67_520_400, 67_486_912)],
)
def test_parameters_and_prunable_weights_are_the_published_ones(channels, total, prunable):
    network = without_storage(channels)
    assert parameters(network) == total
    assert sum(conv_weights(network)) == prunable
    assert len(conv_weights(network)) == 60


@pytest.mark.parametrize(
    ("part", "total", "prunable", "convolutions"),
    [
        ("backbone", 21_284_672, 21_267_648, 36),
        ("branches.segmentation", 23_240_864, 23_232_512, 12),
        ("branches.normals", 23_089_164, 23_080_960, 12),
    ],
)
def test_parameters_of_backbone_and_branches(part, total, prunable, convolutions):
    module = without_storage(NYU).get_submodule(part)
    assert parameters(module) == total
    assert sum(conv_weights(module)) == prunable
    assert len(conv_weights(module)) == convolutions


@pytest.mark.parametrize(
    ("channels", "size", "macs"),
    [
        (NYU, (321, 321), 114_911_290_560),
        (NYU, (480, 640), 337_810_378_752),
        (CITYSCAPES, (256, 512), 146_427_715_584),
    ],
)
def test_multiply_accumulates_of_one_image(channels, size, macs):
    network = without_storage(channels)
    assert count(network, size=size, tasks=network.tasks).macs == macs


def test_multiply_accumulates_of_a_branch_by_hand():
    # On 41 x 41 positions, four times: 3 x 3 from 512 to 1024, 1 x 1 to 1024, 1 x 1 to 3 channels.
    network = without_storage({"depth": 1, "normals": 3})
    both, one = (
        count(network, size=(321, 321), tasks=tasks).macs for tasks in (network.tasks, ("depth",))
    )
    assert both - one == 41 * 41 * 4 * (9 * 512 * 1024 + 1024 * 1024 + 1024 * 3)


def test_backbone_has_the_names_and_shapes_of_torchvisions_resnet34():
    with torch.device("meta"):
        theirs = torchvision.models.resnet34(weights=None).state_dict()
    ours = without_storage(NYU).backbone.state_dict()
    shapes = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in ours.items()} == shapes


@pytest.mark.parametrize(
    ("size", "coarse"),
    [
        ((321, 321), (41, 41)),
        ((480, 640), (61, 81)),
        ((224, 224), (29, 29)),
        ((256, 512), (33, 65)),
    ],
)
def test_predictions_are_at_an_eighth_rounded_up_by_the_pool(size, coarse):
    network = without_storage(NYU)
    predictions = network(torch.empty(1, 3, *size, device="meta"), network.tasks)
    shapes = {task: tuple(values.shape) for task, values in predictions.items()}
    assert shapes == {"segmentation": (1, 40, *coarse), "normals": (1, 3, *coarse)}


def test_first_stages_compute_what_torchvisions_resnet34_computes():
    # Stages 1 and 2 have no dilation; at 33 + 16 k rows the pool has nothing to round up.
    network = make(width=1.0, channels={"depth": 1}).eval()
    theirs = torchvision.models.resnet34(weights=None).eval()
    network.load_backbone(theirs.state_dict(), source="torchvision")
    images = torch.rand(1, 3, 33, 49)
    with torch.no_grad():
        stem = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        ours = network.backbone.maxpool(
            network.backbone.relu(network.backbone.bn1(network.backbone.conv1(images)))
        )
        assert torch.equal(stem, ours)
        torch.testing.assert_close(
            network.backbone.layer2(network.backbone.layer1(ours)),
            theirs.layer2(theirs.layer1(stem)),
        )


def test_dilations_are_1_1_2_4_and_strides_1_2_1_1():
    backbone = make().backbone
    for stage, dilation, stride in (
        (backbone.layer1, 1, 1),
        (backbone.layer2, 1, 2),
        (backbone.layer3, 2, 1),
        (backbone.layer4, 4, 1),
    ):
        convs = [module for module in stage.modules() if type(module).__name__ == "DilatedConv"]
        assert {conv.dilation for conv in convs} == {conv.padding for conv in convs}
        assert {conv.dilation for conv in convs} == {(dilation, dilation)}
        assert [conv.stride[0] for conv in convs] == [stride] + [1] * (len(convs) - 1)


def test_branches_are_dilated_by_6_12_18_24_and_added_up(images):
    network = make().eval()
    branches = network.branches["segmentation"]
    assert [branch.first.dilation[0] for branch in branches.values()] == [6, 12, 18, 24]
    parts: list[torch.Tensor] = []
    for branch in branches.values():
        branch.register_forward_hook(lambda *call: parts.append(call[2]))
    prediction = network(images, ("segmentation",))["segmentation"]

    assert len(parts) == 4
    torch.testing.assert_close(prediction, torch.stack(parts).sum(dim=0))


def test_one_task_alone_gives_the_bits_that_it_gives_among_all(images):
    network = make().eval()
    with torch.no_grad():
        together = network(images, network.tasks)
        for task in network.tasks:
            assert torch.equal(network(images, (task,))[task], together[task])


def test_branches_that_are_not_asked_for_do_not_run(images):
    network = make().eval()
    ran: list[str] = []
    for task, branches in network.branches.items():
        branches["rate6"].register_forward_hook(lambda *_, task=task: ran.append(task))
    assert set(network(images, ("normals",))) == {"normals"}
    assert ran == ["normals"]


def test_normals_have_length_1(images):
    normals = make().eval()(images, ("normals",))["normals"]
    lengths = normals.square().sum(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-5, rtol=0)


def test_task_without_a_branch_is_refused(images):
    with pytest.raises(ValueError, match="built for segmentation, normals; it has no branch for d"):
        make()(images, ("depth",))


@pytest.mark.parametrize(
    ("backbone", "input_scaling", "white"),
    [
        # A white image is 255 less the mean of its channel, or (1 - mean) / deviation.
        (None, None, (132.32108, 138.33124, 150.99302)),
        (IMAGENET, None, (2.24891, 2.42857, 2.64)),
        (IMAGENET, "centred", (132.32108, 138.33124, 150.99302)),
        (None, "standardised", (2.24891, 2.42857, 2.64)),
    ],
)
def test_white_image_as_the_backbone_sees_it(backbone, input_scaling, white):
    network = make(backbone=backbone, input_scaling=input_scaling).eval()
    seen: list[torch.Tensor] = []
    network.backbone.register_forward_pre_hook(lambda *call: seen.append(call[1][0]))
    network(torch.ones(1, 3, 8, 8), ("normals",))
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(white, abs=1e-4)


def test_checkpoint_holds_weights_and_no_settings():
    assert {name.partition(".")[0] for name in make().state_dict()} == {"backbone", "branches"}


def test_backbone_starts_small_and_normal_and_branches_as_torch_makes_them():
    network = make(width=1 / 4)
    backbone = network.backbone.layer4[2].conv2.weight  # 128 x 128 x 9 draws
    assert backbone.std().item() == pytest.approx(0.01, rel=0.02)
    assert backbone.abs().max() > 0.03  # a uniform draw of that deviation ends at 0.0173
    bound = (1 / (128 * 9)) ** 0.5
    head = network.branches["normals"]["rate6"].first.weight
    assert 0.99 * bound < head.abs().max() <= bound


def test_backbone_takes_torchvisions_weights_and_leaves_its_classifier():
    network = make(width=1.0, channels={"depth": 1})
    head = network.branches["depth"]["rate6"].first.weight.clone()
    theirs = torchvision.models.resnet34(weights=None).state_dict()
    network.load_backbone(theirs, source="resnet34.pth")

    ours = network.backbone.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(network.branches["depth"]["rate6"].first.weight, head)


@pytest.mark.parametrize(
    ("architecture", "width", "said"),
    [
        ("resnet18", 1.0, r"it lacks layer1\.2\.conv1\.weight.* and \d+ more"),
        ("resnet50", 1.0, r"also holds layer1\.0\.conv3\.weight.*other shapes in layer1\.0\.con"),
        ("resnet34", 0.5, r"other shapes in conv1\.weight \(64, 3, 7, 7\) for \(32, 3, 7, 7\)"),
    ],
)
def test_weights_of_another_backbone_are_refused(architecture, width, said):
    with torch.device("meta"):
        state = torchvision.models.get_model(architecture, weights=None).state_dict()
        network = make(width=width)
    with pytest.raises(WeightsError, match=rf"resnet\.pth holds the weights of another.*{said}"):
        network.load_backbone(state, source="resnet.pth")


def test_each_map_is_the_rectified_output_of_its_group(images):
    network = make().eval()
    seen: dict[nn.Module, torch.Tensor] = {}
    maps = network.feature_maps()
    for module in {module for modules in maps.values() for module in modules}:
        module.register_forward_hook(lambda *call: seen.update({call[0]: call[2]}))
    with torch.no_grad():
        network(images, network.tasks)

    for group in network.groups:
        assert {seen[module].shape[1] for module in maps[group.name]} == {group.width}
        assert all((seen[module] >= 0).all() for module in maps[group.name])
    assert len(maps["stage1"]) == 4  # the stem and three blocks
    assert len(maps["stage2"]) == 4  # the shortcut and the convolution beside it are seen once


def test_norms_stand_behind_the_producers_of_the_backbone_alone():
    network = make()
    norms = network.norms()
    listed = [norm for own in norms.values() for norm in own]
    assert set(listed) == {m for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert len(listed) == 36
    assert [group.name for group in network.groups if group.name in norms] == [
        group.name for group in network.groups if group.normalised
    ]
    assert norms["stage2"][:2] == (
        network.backbone.layer2[0].bn2,
        network.backbone.layer2[0].downsample[1],
    )


def test_no_activation_works_in_place():
    assert not any(getattr(module, "inplace", False) for module in make().modules())


def test_network_learns_under_deterministic_algorithms(images):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        network = make().train()
        sum(p.square().mean() for p in network(images, network.tasks).values()).backward()
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
