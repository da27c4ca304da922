from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mtljobs.settings import build
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN

CHANNELS = {"segmentation": 5, "depth": 1, "normals": 3}
ARCHITECTURES = {
    "segnet_mtan": SegNetMTAN(name="segnet_mtan", width=1 / 16),
    "deeplab_resnet": DeepLabResNet(name="deeplab_resnet", width=1 / 16),
}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def architecture(request: pytest.FixtureRequest) -> SegNetMTAN | DeepLabResNet:
    """Settings of a small network: SegNet-MTAN, where a test does not ask for another by name."""
    return ARCHITECTURES[getattr(request, "param", "segnet_mtan")]


@pytest.fixture
def lived_in(architecture: SegNetMTAN | DeepLabResNet) -> Callable[..., nn.Module]:
    """A network in eval mode whose norms are not the identity, as after training."""

    def make(*tasks: str, widths: dict[str, int] | None = None) -> nn.Module:
        torch.manual_seed(0)
        channels = {task: CHANNELS[task] for task in tasks or CHANNELS}
        network = build(architecture, channels=channels, widths=widths)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.2, 1.0)
        return network.eval()

    return make
