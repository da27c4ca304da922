"""What is gone of a network is what its weights show, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from mtljobs.pruning.masks import set_mask
from mtljobs.stages.evaluate import sparsities

TASKS = ("depth", "normals")


class TwoTasks(nn.Module):
    """Shared: 3 x `inner` weights; of each task: `inner` x its channels."""

    def __init__(self, inner: int = 4) -> None:
        super().__init__()
        self.tasks = TASKS
        self.trunk = nn.Conv2d(3, inner, 1)
        self.branches = nn.ModuleDict(
            {"depth": nn.Conv2d(inner, 1, 1), "normals": nn.Conv2d(inner, 3, 1)}
        )

    def forward(self, images: torch.Tensor, tasks: Sequence[str]) -> dict[str, torch.Tensor]:
        features = self.trunk(images)
        return {task: self.branches[task](features) for task in tasks}


def found(model: nn.Module) -> dict[str, np.ndarray]:
    return sparsities(model, TwoTasks(), size=(2, 5), tasks=TASKS)


def mask(convolution: nn.Conv2d, *, gone: int, agreement: float = np.nan) -> None:
    kept = torch.arange(convolution.weight.numel()) >= gone
    set_mask(convolution, kept.view(convolution.weight.shape), agreement=agreement)


def test_masked_weights_are_gone_layer_by_layer_and_save_no_multiplication() -> None:
    model = TwoTasks()
    mask(model.trunk, gone=6, agreement=0.25)  # of 12
    mask(model.branches["depth"], gone=3)  # of 4
    mask(model.branches["normals"], gone=0)  # of 12
    arrays = found(model)
    assert arrays["sparsity_weights"] == pytest.approx(9 / 28)
    assert arrays["sparsity_shared"] == pytest.approx(6 / 12)
    assert arrays["sparsity_branches"] == pytest.approx(3 / 16)
    assert arrays["sparsity_parameters"] == pytest.approx(9 / 36)  # with 8 biases
    assert arrays["sparsity_filters"] == arrays["sparsity_macs"] == 0.0
    np.testing.assert_allclose(arrays["layer_sparsity"], [0.5, 0.75, 0.0])
    np.testing.assert_array_equal(arrays["mask_agreement"], [0.25, np.nan, np.nan])


def test_narrow_network_lost_filters_weights_and_multiplications() -> None:
    arrays = found(TwoTasks(inner=1))
    assert arrays["sparsity_filters"] == pytest.approx(3 / 8)
    assert arrays["sparsity_weights"] == arrays["sparsity_macs"] == pytest.approx(21 / 28)
    assert arrays["sparsity_shared"] == arrays["sparsity_branches"] == pytest.approx(0.75)
    assert arrays["sparsity_parameters"] == pytest.approx(24 / 36)
    np.testing.assert_allclose(arrays["layer_sparsity"], [0.75, 0.75, 0.75])
    assert np.isnan(arrays["mask_agreement"]).all()


def test_nothing_is_gone_of_the_dense_network() -> None:
    arrays = found(TwoTasks())
    assert all((values == 0).all() for name, values in arrays.items() if "sparsity" in name)
