from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.models.complexity import Complexity, count, layer_filters, layer_weights
from mtljobs.models.segnet_mtan import SegNetMTAN


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


@pytest.mark.parametrize(
    ("channels", "size", "dense", "halved"),
    [
        ({"segmentation": 13, "depth": 1, "normals": 3}, (288, 384), 216.05, 57.21),
        ({"segmentation": 7, "depth": 1}, (128, 256), 48.22, 12.69),
    ],
)
def test_segnet_mtan_costs_the_published_gmac(channels, size, dense, halved):
    with torch.device("meta"):
        network = SegNetMTAN(width=1.0, channels=channels, widths=None)
        half = {name: width // 2 for name, width in network.widths().items()}
        narrow = SegNetMTAN(width=1.0, channels=channels, widths=half)

    assert count(network, size=size, tasks=network.tasks).macs / 1e9 == pytest.approx(
        dense, abs=0.005
    )
    assert count(narrow, size=size, tasks=network.tasks).macs / 1e9 == pytest.approx(
        halved, abs=0.005
    )


def test_counting_leaves_the_network_as_it_was():
    network = TwoLayers().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count(network, size=(4, 4), tasks=("depth",))

    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_one_task_costs_less_than_all():
    with torch.device("meta"):
        network = SegNetMTAN(width=1.0, channels={"depth": 1, "normals": 3}, widths=None)
    one = count(network, size=(64, 64), tasks=("depth",))
    both = count(network, size=(64, 64), tasks=("depth", "normals"))

    assert one.macs < both.macs
    assert one.parameters == both.parameters
