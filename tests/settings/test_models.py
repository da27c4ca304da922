from __future__ import annotations

import pytest
from pydantic import ValidationError

from mtljobs.errors import GridError
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN, WeightsFile


@pytest.mark.parametrize(
    ("width", "channels", "scaled"),
    [(1.0, 512, 512), (0.5, 64, 32), (0.0625, 64, 4), (0.001, 64, 1), (0.02, 128, 3)],
)
def test_width_scales_every_channel_count_and_leaves_one(width, channels, scaled):
    # 0.001 * 64 rounds to 0, and 0.02 * 128 = 2.56 rounds to 3.
    assert SegNetMTAN(name="segnet_mtan", width=width).scaled(channels) == scaled


def test_stages_have_the_published_widths():
    groups = SegNetMTAN(name="segnet_mtan").channel_groups(("depth",))
    stages = {group.name: group.width for group in groups if group.name.startswith("stage")}
    assert stages == {
        "stage0": 64, "stage1": 64, "stage2": 128, "stage3": 256, "stage4": 512, "stage5": 512,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "stride"),
    [
        ("encoder_block.0", 1),
        ("conv_block_enc.1", 2),
        ("decoder_block.2", 4),
        ("conv_block_dec.3", 8),
        ("conv_block_enc.4", 16),
    ],
)
def test_stride_doubles_from_stage_to_stage(layer, stride):
    size = SegNetMTAN(name="segnet_mtan").layer_size(layer, (288, 384))
    assert size == (288 // stride, 384 // stride)


@pytest.mark.parametrize("layer", ["conv_block_enc.5", "conv_block_enc", "", "branches.depth"])
def test_layer_that_no_task_shares_is_refused(layer):
    with pytest.raises(GridError, match=r"Valid are last_shared, bottleneck"):
        SegNetMTAN(name="segnet_mtan").layer_size(layer, (64, 64))


def test_streams_of_deeplab_tie_the_ends_of_all_blocks_of_a_stage():
    groups = {g.name: g for g in DeepLabResNet(name="deeplab_resnet").channel_groups(("depth",))}
    ends = tuple(f"backbone.layer1.{k}.conv2" for k in range(3))
    assert groups["stage1"].producers == ("backbone.conv1", *ends)
    assert groups["stage4"].producers == (
        "backbone.layer4.0.conv2",
        "backbone.layer4.0.downsample.0",
        "backbone.layer4.1.conv2",
        "backbone.layer4.2.conv2",
    )
    assert groups["stage3.5"].producers == ("backbone.layer3.5.conv1",)


def test_deeplab_has_4_streams_16_insides_and_8_hidden_convolutions_per_task():
    groups = DeepLabResNet(name="deeplab_resnet").channel_groups(("segmentation", "normals"))
    widths = [group.width for group in groups if group.normalised]
    assert len(widths) == 4 + 16
    # Streams of 64, 128, 256, 512; insides of 3, 4, 6 and 3 blocks.
    assert sum(widths) == 960 + 3 * 64 + 4 * 128 + 6 * 256 + 3 * 512
    assert [group.width for group in groups if not group.normalised] == [1024] * 16


@pytest.mark.parametrize(
    ("layer", "size", "expected"),
    [
        ("backbone.layer4.2.conv2", (321, 321), (41, 41)),
        ("backbone.layer4", (480, 640), (61, 81)),
        ("backbone.layer2.0.conv1", (224, 224), (29, 29)),
        ("backbone.layer3.5", (256, 512), (33, 65)),
        ("backbone.layer1", (321, 321), (81, 81)),
        ("backbone.layer1.0.conv2", (480, 640), (121, 161)),
        ("backbone.layer4", (1, 1), (1, 1)),
    ],
)
def test_layer_of_deeplab_is_an_eighth_of_the_image_rounded_up_twice(layer, size, expected):
    assert DeepLabResNet(name="deeplab_resnet").layer_size(layer, size) == expected


def test_misspelt_layer_of_deeplab_is_answered_with_the_nearest():
    with pytest.raises(
        GridError, match=r"deeplab_resnet has no layer.*nearest: .*backbone\.layer4,"
    ):
        DeepLabResNet(name="deeplab_resnet").layer_size("backbone.layer5", (321, 321))


@pytest.mark.parametrize("sum_", ["", "abc", "A" * 64, "0" * 63, "g" * 64])
def test_sum_of_a_weights_file_is_64_hex_digits(sum_):
    with pytest.raises(ValidationError):
        WeightsFile(sha256=sum_)


def test_backbone_asks_for_the_whole_width_before_anything_is_planned():
    weights = WeightsFile(sha256="5" * 64)
    assert DeepLabResNet(name="deeplab_resnet", backbone=weights).width == 1
    with pytest.raises(ValidationError, match=r"fit a width of 1 alone, received 0\.5"):
        DeepLabResNet(name="deeplab_resnet", backbone=weights, width=0.5)
