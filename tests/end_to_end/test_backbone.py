"""DeepLab begins with the backbone that the grid names, in the worker as in the plan."""

from __future__ import annotations

import hashlib

import pytest
import torch

import mtljobs
from mtljobs.plan.frozen import read_newest
from mtljobs.settings import build
from mtljobs.settings.models import DeepLabResNet

CHANNELS = {"segmentation": 3, "depth": 1}
OLD = 'model = { name = "segnet_mtan", width = 0.0625 }'


@pytest.fixture
def bring(blank_desk):
    """Writes a backbone's weights as torchvision has them, and names them in the desk's grid."""

    def add(folder):
        torch.manual_seed(3)
        deeplab = DeepLabResNet(name="deeplab_resnet")
        weights = build(deeplab, channels=CHANNELS, widths=None).backbone.state_dict()
        weights |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
        path = folder / "resnet34.pth"
        path.parent.mkdir(exist_ok=True)
        torch.save(weights, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        file = f'{{ file = "{path}", sha256 = "{sha256}" }}'
        text = blank_desk.grid.read_text("utf-8").replace(
            OLD, f'model = {{ name = "deeplab_resnet", backbone = {file} }}'
        )
        text = text.replace("iterations = 3, ", "iterations = 1, learning_rate = 1e-9, ")
        blank_desk.grid.write_text(text, "utf-8")
        return path, weights

    return add


def test_training_begins_with_the_backbone_and_needs_it_no_more(blank_desk, bring):
    path, weights = bring(blank_desk.folder / "weights")
    outcomes = blank_desk.submit().work("train")
    assert set(outcomes.values()) == {"done"}
    assert all(str(path) not in str(shard.spec) for shard in read_newest(blank_desk.run).shards)
    path.unlink()
    network = mtljobs.load_network(blank_desk.run.root, experiment="desk", sparsity=0.0, seed=0)
    for name, weight in network.backbone.named_parameters():
        torch.testing.assert_close(weight.detach(), weights[name], atol=1e-7, rtol=0)
