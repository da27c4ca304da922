from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.tasks import Depth, Segmentation
from mtljobs.training.loop import batch_losses
from mtljobs.training.resolution import resize_nearest


class Constant(nn.Module):
    """Predicts the same coarse map for every image."""

    def __init__(self, **predictions: torch.Tensor) -> None:
        super().__init__()
        self.predictions = predictions

    def forward(self, images, tasks):
        return {
            task: self.predictions[task].expand(len(images), -1, -1, -1).clone() for task in tasks
        }


def test_position_i_of_n_takes_position_i_times_old_over_n():
    values = torch.arange(10).reshape(2, 5)
    # Rows 0 and 1 of 2; columns floor(i * 5 / 3) = 0, 1, 3.
    assert resize_nearest(values, (2, 3)).tolist() == [[0, 1, 3], [5, 6, 8]]
    assert resize_nearest(values, (4, 5))[:, 0].tolist() == [0, 0, 5, 5]


@pytest.mark.parametrize("coarse", [(41, 41), (61, 81), (29, 29), (33, 65)])
def test_both_ways_are_torchs_nearest_at_the_sizes_of_deeplab(coarse):
    fine = {41: (321, 321), 61: (480, 640), 29: (224, 224), 33: (256, 512)}[coarse[0]]
    for old, new in ((fine, coarse), (coarse, fine)):
        values = torch.arange(float(old[0] * old[1])).reshape(1, 1, *old)
        assert torch.equal(resize_nearest(values, new), functional.interpolate(values, new))


def test_values_that_fit_are_not_copied():
    values = torch.rand(2, 3)
    assert resize_nearest(values, (2, 3)) is values


def test_loss_is_taken_at_the_resolution_of_the_prediction():
    info = Rooms(name="rooms").info()
    tasks = {
        choice.name: build(choice, info=info)
        for choice in (Depth(name="depth"), Segmentation(name="segmentation"))
    }
    # Every other row and column of the targets counts: 1, 0 (invalid), 5, 7.
    depth = torch.full((4, 4), 100.0)
    depth[::2, ::2] = torch.tensor([[1.0, 0.0], [5.0, 7.0]])
    labels = torch.full((4, 4), 9)
    labels[::2, ::2] = torch.tensor([[0, -1], [1, 0]])
    certain_of_class_0 = torch.full((1, 13, 2, 2), -1000.0)
    certain_of_class_0[:, 0] = 0.0
    batch = {
        "image": torch.zeros(1, 3, 4, 4),
        "depth": depth.reshape(1, 1, 4, 4),
        "segmentation": labels.reshape(1, 4, 4),
    }
    model = Constant(depth=torch.full((1, 1, 2, 2), 2.0), segmentation=certain_of_class_0)
    losses = batch_losses(model, batch, tasks)

    assert losses["depth"].item() == pytest.approx((1 + 3 + 5) / 3)
    assert losses["segmentation"].item() == pytest.approx(1000 / 3)  # one of three pixels is wrong
