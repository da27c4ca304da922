from __future__ import annotations

import torch

from mtljobs.settings import build
from mtljobs.settings import weighting as settings


def test_each_loss_counts_as_often_as_its_weight_says(make_step):
    losses = {
        "normals": torch.tensor(0.25, requires_grad=True),
        "segmentation": torch.tensor(2.0, requires_grad=True),
    }
    choice = settings.Fixed(name="fixed", weights={"segmentation": 1.0, "normals": 20.0})
    total = build(choice, tasks=("segmentation", "normals")).combine(losses, make_step())
    total.backward()

    assert total.item() == 1 * 2.0 + 20 * 0.25
    assert losses["segmentation"].grad.item() == 1.0
    assert losses["normals"].grad.item() == 20.0


def test_order_of_the_weights_in_a_grid_changes_no_bit(make_step):
    losses = {"a": torch.tensor(1e8), "b": torch.tensor(1.0), "c": torch.tensor(1e8)}
    weights = {"a": 0.1, "b": 3.0, "c": 0.7}
    sums = [
        build(
            settings.Fixed(name="fixed", weights=dict(order)),
            tasks=("a", "b", "c"),
        ).combine(losses, make_step())
        for order in (weights.items(), reversed(weights.items()))
    ]
    assert torch.equal(*sums)
