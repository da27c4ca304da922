"""What a network on disk is: shape, masks and weights come back, and what does not fit is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mtljobs.errors import WeightsError
from mtljobs.ledger.records import make_record, write_record
from mtljobs.models import segnet_mtan
from mtljobs.pruning.masks import set_mask
from mtljobs.settings.models import SegNetMTAN
from mtljobs.stages.network import load_network, save_network

CHOICE = SegNetMTAN(name="segnet_mtan", width=1 / 64)
CHANNELS = {"segmentation": 5, "depth": 1}
CPU = torch.device("cpu")
MASKED = "conv_block_enc.0.0.conv"


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return segnet_mtan.SegNetMTAN(width=1 / 64, pool_ties="torch", channels=CHANNELS, widths=None)


def commit(folder: Path, network: nn.Module) -> Path:
    save_network(folder, network)
    write_record(folder, make_record(folder, shard="train-x", identity="a" * 64, versions={}))
    return folder


def test_masked_network_comes_back_from_its_file_alone(network: nn.Module, tmp_path: Path) -> None:
    layer = network.get_submodule(MASKED)
    set_mask(layer, torch.rand(layer.weight.shape) < 0.3, agreement=0.5)
    loaded = load_network(commit(tmp_path, network), CHOICE, channels=CHANNELS, device=CPU)

    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, values in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], values), name
    assert not loaded.training


def test_network_without_masks_comes_back_without_masks(network: nn.Module, tmp_path: Path) -> None:
    loaded = load_network(commit(tmp_path, network), CHOICE, channels=CHANNELS, device=CPU)
    assert loaded.state_dict().keys() == network.state_dict().keys()


def test_weights_of_other_tasks_are_refused_in_words(network: nn.Module, tmp_path: Path) -> None:
    commit(tmp_path, network)
    with pytest.raises(WeightsError, match=r"another network than segnet_mtan for depth.*segmenta"):
        load_network(tmp_path, CHOICE, channels={"depth": 1}, device=CPU)
    with pytest.raises(WeightsError, match=r"head\.output\.weight.*submit again"):
        load_network(tmp_path, CHOICE, channels={"segmentation": 6, "depth": 1}, device=CPU)


def test_mask_of_another_shape_is_refused_in_words(network: nn.Module, tmp_path: Path) -> None:
    network.get_submodule(MASKED).register_buffer("weight_mask", torch.ones(2).bool())
    network.get_submodule(MASKED).register_buffer("mask_agreement", torch.tensor(1.0))
    with pytest.raises(WeightsError, match=rf"{MASKED}\.weight_mask"):
        load_network(commit(tmp_path, network), CHOICE, channels=CHANNELS, device=CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(
    value: float, network: nn.Module, tmp_path: Path
) -> None:
    network.get_submodule(MASKED).weight.data[0, 0, 0, 0] = value
    with pytest.raises(
        WeightsError, match=rf"in 1 of \d+ tensors, {MASKED}\.weight the first.*low"
    ):
        load_network(commit(tmp_path, network), CHOICE, channels=CHANNELS, device=CPU)
