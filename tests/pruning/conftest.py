from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mtljobs.models.segnet_mtan import SegNetMTAN

CHANNELS = {"segmentation": 5, "depth": 1, "normals": 3}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def lived_in() -> Callable[..., SegNetMTAN]:
    """A network at width 1/16 in eval mode whose norms are not the identity, as after training."""

    def make(*tasks: str, widths: dict[str, int] | None = None) -> SegNetMTAN:
        torch.manual_seed(0)
        channels = {task: CHANNELS[task] for task in tasks or CHANNELS}
        network = SegNetMTAN(width=1 / 16, channels=channels, widths=widths)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.2, 1.0)
        return network.eval()

    return make
