"""A weighting that learns goes on after a stop as if there had been none."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from mtljobs.errors import StopRequested
from mtljobs.settings import build
from mtljobs.settings import weighting as settings
from mtljobs.settings.data import Rooms
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.settings.training import Training
from mtljobs.weighting.famo import FAMO

torch.set_num_threads(1)
ROOMS = Rooms(name="rooms", size=(32, 32), train=6, test=1)
TASKS = (Depth(name="depth"), Normals(name="normals"))
CHOICES = (
    settings.Equal(name="equal"),
    settings.Fixed(name="fixed", weights={"depth": 3.0, "normals": 0.5}),
    settings.FAMO(name="famo"),
    settings.Uncertainty(name="uncertainty"),
    settings.DWA(name="dwa"),
)


class TwoHeads(nn.Module):
    """A shared convolution, with a batch norm that also sees a second forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.heads = nn.ModuleDict({"depth": nn.Conv2d(4, 1, 1), "normals": nn.Conv2d(4, 3, 1)})

    def forward(self, images: torch.Tensor, tasks: tuple[str, ...]) -> dict[str, torch.Tensor]:
        shared = self.shared(images)
        return {task: self.heads[task](shared) for task in tasks}


def equal_bits(one, other):
    """Whether two nested states hold the same tensors and the same plain values."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal_bits(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal_bits, one, other))
    return one == other


@pytest.fixture(params=CHOICES, ids=lambda choice: choice.name)
def train(request):
    """Trains 9 steps, 3 an epoch, from a checkpoint where there is one; returns the trainer."""

    def run(checkpoint, *, stop_after=100):
        torch.manual_seed(0)
        info = ROOMS.info()
        trainer = build(
            Training(iterations=9, batch=2, learning_rate=1e-2),
            model=TwoHeads(),
            tasks={choice.name: build(choice, info=info) for choice in TASKS},
            weighting=build(request.param, tasks=tuple(choice.name for choice in TASKS)),
            hooks=(),
            dataset=build(ROOMS, info=info, split="train", root=None),
            validation=build(ROOMS, info=info, split="validation", root=None),
            depth_unit=info.depth_unit,
            seed=7,
        )
        asked = iter(range(100))
        trainer.run(
            checkpoint=checkpoint,
            checkpoint_every_s=1e9,
            loader_workers=0,
            stop=lambda: next(asked) >= stop_after,
            progress=lambda done, total, what: None,
            told=lambda entry: None,
        )
        return trainer

    return run


def test_every_weighting_is_tried():
    (union, *_) = get_args(settings.WeightingChoice)
    assert {type(choice) for choice in CHOICES} == set(get_args(union))


def test_training_stopped_twice_ends_in_the_same_bits_and_the_same_weights(train, tmp_path):
    straight = train(tmp_path / "straight")
    for steps in (2, 5):  # inside the first epoch, and inside the third
        with pytest.raises(StopRequested):
            train(tmp_path / "resumed", stop_after=steps)
    resumed = train(tmp_path / "resumed")
    weights = [trainer.model.state_dict() for trainer in (straight, resumed)]
    states = [trainer.weighting.state_dict() for trainer in (straight, resumed)]
    assert equal_bits(*weights)
    assert equal_bits(*states)


def test_batch_norm_sees_each_batch_twice_under_famo_alone(train, tmp_path):
    trainer = train(tmp_path / "checkpoint")
    seen = trainer.model.shared[1].num_batches_tracked.item()
    assert seen == (18 if isinstance(trainer.weighting, FAMO) else 9)
