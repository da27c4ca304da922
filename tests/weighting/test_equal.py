from __future__ import annotations

import torch

from mtljobs.settings import build
from mtljobs.settings import weighting as settings
from mtljobs.weighting.equal import Equal


def test_losses_are_summed_and_weigh_the_same(make_step):
    losses = {name: torch.tensor(value, requires_grad=True) for name, value in
              [("depth", 0.25), ("normals", 2.0)]}  # fmt: skip
    total = Equal(tasks=("normals", "depth")).combine(losses, make_step())
    total.backward()

    assert total.item() == 2.25
    assert [loss.grad.item() for loss in losses.values()] == [1.0, 1.0]


def test_sum_does_not_depend_on_the_order_of_the_losses(make_step):
    values = {"a": torch.tensor(1e8), "b": torch.tensor(1.0), "c": torch.tensor(-1e8)}
    turned = dict(reversed(values.items()))
    weighting = Equal(tasks=("a", "b", "c"))
    combined = [weighting.combine(losses, make_step()) for losses in (values, turned)]
    assert torch.equal(*combined)


def test_equal_weighting_changes_and_remembers_nothing(make_step):
    weighting = build(settings.Equal(name="equal"), tasks=("depth",))
    model = torch.nn.Linear(1, 1)
    before = model.weight.clone()
    weighting.after_backward(model, make_step())
    weighting.after_step(model, make_step())
    weighting.load_state_dict(weighting.state_dict())

    assert weighting.state_dict() == {}
    assert torch.equal(model.weight, before)
    assert model.weight.grad is None
