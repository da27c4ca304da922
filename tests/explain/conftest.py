"""A small network for three tasks, an image with edges, and the tasks themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mtljobs.contracts import DatasetInfo
from mtljobs.models.deeplab_resnet import DeepLabResNet
from mtljobs.models.segnet_mtan import SegNetMTAN
from mtljobs.tasks.depth import Depth
from mtljobs.tasks.normals import Normals
from mtljobs.tasks.segmentation import Segmentation


class SmallNet(nn.Module):
    """A shared trunk that pools and normalises, and a head per task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.heads = nn.ModuleDict(
            {
                "segmentation": self.head(4),
                "depth": nn.Sequential(self.head(1), nn.Softplus()),
                "normals": self.head(3),
            }
        )

    @staticmethod
    def head(channels):
        return nn.Sequential(
            nn.Conv2d(6, 5, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(5, channels, 1),
            nn.Upsample(None, 2),
        )

    def forward(self, images, tasks):
        shared = self.trunk(images)
        return {task: self.heads[task](shared) for task in tasks}


class Double(nn.Module):
    """Computes on in double precision, so that the two are told apart by their methods alone."""

    def forward(self, images):
        return images.double()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def net():
    net = SmallNet().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)  # answers that depend on the image more than they do as initialised
    return net


@pytest.fixture
def tasks():
    info = DatasetInfo(
        id="small",
        splits={},
        class_names=("wall", "floor", "chair", "lamp"),
        tasks=("segmentation", "depth", "normals"),
        size=None,
        depth_unit="m",
        depth_scale=1.5,
        sha256=None,
    )
    built = Segmentation(info=info), Depth(bins=3, info=info), Normals(info=info)
    return {task.name: task for task in built}


@pytest.fixture
def image():
    """24 x 32, in blocks of 4 x 4 of one colour, and a little noise."""
    generator = np.random.default_rng(0)
    blocks = np.kron(generator.random((3, 6, 8)), np.ones((4, 4)))
    return (0.9 * blocks + 0.1 * generator.random((3, 24, 32))).astype(np.float32)


@pytest.fixture
def classifier():
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    return nn.Sequential(Double(), layers.double()).eval()


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 16)


@pytest.fixture
def evidence_of(tasks):
    """Makes the evidence for all groups of all tasks, over the pixels that a network predicts."""

    def make(network):
        def compute(images):
            predictions = network(images, tasks=tuple(tasks))
            return {
                name: task.evidence(predictions[name], task.group_masks(predictions[name]))
                for name, task in tasks.items()
            }

        return compute

    return make


@pytest.fixture
def evidence(net, evidence_of):
    return evidence_of(net)


CHANNELS = {"segmentation": 4, "depth": 1, "normals": 3}


@pytest.fixture(params=["segnet_mtan", "deeplab_resnet"])
def study(request):
    """A narrow network of the study, and images that it takes."""
    torch.manual_seed(2)  # one with which all tasks of both have maps that are not all zero
    if request.param == "segnet_mtan":
        network = SegNetMTAN(width=1 / 16, pool_ties="torch", channels=CHANNELS, widths=None)
        images = torch.rand(2, 3, 32, 64)
    else:
        scaling = {"backbone": None, "input_scaling": None}
        network = DeepLabResNet(width=1 / 16, channels=CHANNELS, widths=None, **scaling)
        images = torch.rand(2, 3, 33, 49)
    with torch.no_grad():  # so that batch norms have seen an image
        network.train()(images, tasks=tuple(CHANNELS))
    return network.eval(), images
