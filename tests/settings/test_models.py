from __future__ import annotations

import pytest

from mtljobs.errors import GridError
from mtljobs.settings.models import SegNetMTAN


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
