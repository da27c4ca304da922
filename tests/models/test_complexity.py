from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.models.complexity import Complexity, count, layer_filters, layer_weights
from mtljobs.models.segnet_mtan import SegNetMTAN
from mtljobs.settings import models as settings


class TwoLayers(nn.Module):
    """3 to 4 channels by 3 x 3 with bias, and 4 to 2 by 1 x 1 without."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 2, 1, bias=False)

    def forward(self, images, tasks):
        assert tasks == ("depth",)
        return {"depth": self.second(self.norm(self.first(images)))}


def test_two_layers_counted_by_hand():
    # Parameters 3*4*9 + 4, 4 + 4 of the norm, 4*2; a position costs 108 and 8 multiplications.
    assert count(TwoLayers(), size=(5, 6), tasks=("depth",)) == Complexity(
        parameters=112 + 8 + 8, filters=4 + 2, macs=(108 + 8) * 30
    )
    assert layer_weights(TwoLayers()) == {"first": 108, "second": 8}
    assert layer_filters(TwoLayers()) == {"first": 4, "second": 2}


def test_masked_weights_are_not_counted_and_cost_as_before():
    network = TwoLayers()
    mask = torch.ones(4, 3, 3, 3, dtype=torch.bool)
    mask[0] = False
    network.first.register_buffer("weight_mask", mask)

    assert count(network, size=(5, 6), tasks=("depth",)) == Complexity(
        parameters=112 + 8 + 8 - 27, filters=4 + 2, macs=(108 + 8) * 30
    )
    assert layer_weights(network) == {"first": 108 - 27, "second": 8}


NYU = {"segmentation": 13, "depth": 1, "normals": 3}, (288, 384)
CITYSCAPES = {"segmentation": 7, "depth": 1}, (128, 256)


@pytest.mark.parametrize(
    ("data", "removed", "parameters", "gmac"),
    [
        (NYU, 0.0, 44_229_073, 216.05),
        (NYU, 0.5, 11_105_137, 57.21),
        (NYU, 0.75, 2_800_705, 15.94),
        (NYU, 0.875, 712_873, 4.85),
        (NYU, 0.9375, 185_053, 1.69),
        (CITYSCAPES, 0.0, 41_206_984, 48.22),
        (CITYSCAPES, 0.5, 10_336_168, 12.69),
        (CITYSCAPES, 0.6, 6_629_702, 8.37),
        (CITYSCAPES, 0.7, 3_752_606, 4.84),
        (CITYSCAPES, 0.8, 1_660_828, 2.37),
        (CITYSCAPES, 0.9, 423_726, 0.70),
    ],
)
def test_segnet_mtan_without_a_share_of_every_groups_filters(data, removed, parameters, gmac):
    channels, size = data
    groups = settings.SegNetMTAN(name="segnet_mtan").channel_groups(tuple(channels))
    widths = {group.name: round(group.width * (1 - removed)) for group in groups}
    with torch.device("meta"):
        network = SegNetMTAN(width=1.0, pool_ties="torch", channels=channels, widths=widths)
    found = count(network, size=size, tasks=network.tasks)

    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmac, abs=0.005)


def test_counting_leaves_the_network_as_it_was():
    network = TwoLayers().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count(network, size=(4, 4), tasks=("depth",))

    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_one_task_costs_less_than_all():
    with torch.device("meta"):
        network = SegNetMTAN(
            width=1.0, pool_ties="torch", channels={"depth": 1, "normals": 3}, widths=None
        )
    one = count(network, size=(64, 64), tasks=("depth",))
    both = count(network, size=(64, 64), tasks=("depth", "normals"))

    assert one.macs < both.macs
    assert one.parameters == both.parameters
