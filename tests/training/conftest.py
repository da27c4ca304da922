"""A small network with everything that a resume may lose, and a trainer for it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from mtljobs.errors import StopRequested
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import Equal

torch.set_num_threads(1)
ROOMS = Rooms(name="rooms", size=(32, 32), train=10, test=1)
INFO = dataclasses.replace(
    ROOMS.info(), splits={**ROOMS.info().splits, "validation": ("one", "two", "three")}
)


class TwoHeads(nn.Module):
    """Batch norm keeps statistics, Adam moments, dropout draws: all must survive.

    Plain, it has neither, so that every image counts on its own.
    """

    def __init__(self, *, plain: bool) -> None:
        super().__init__()
        extras = () if plain else (nn.BatchNorm2d(4), nn.Dropout(0.3))
        self.shared = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *extras, nn.ReLU())
        self.heads = nn.ModuleDict({"depth": nn.Conv2d(4, 1, 1), "normals": nn.Conv2d(4, 3, 1)})

    def forward(self, images, tasks):
        shared = self.shared(images)
        return {task: self.heads[task](shared) for task in tasks}


@pytest.fixture(scope="session")
def splits():
    """The two splits; they keep their images, whose rendering takes longer than the trainings."""
    return {split: build(ROOMS, info=INFO, split=split, root=None) for split in INFO.splits}


@pytest.fixture
def make_trainer(splits):
    """Makes a trainer of nine iterations from settings, the same whenever it is called."""

    def make(*, plain=False, dataset=None, hooks=(), **settings):
        torch.manual_seed(0)
        given = {"iterations": 9, "batch": 4, "learning_rate": 1e-2, **settings}
        return build(
            Training(**given),
            model=TwoHeads(plain=plain),
            tasks={
                "depth": build(Depth(name="depth"), info=INFO),
                "normals": build(Normals(name="normals"), info=INFO),
            },
            weighting=build(Equal(name="equal"), tasks=("depth", "normals")),
            hooks=hooks,
            dataset=dataset or splits["train"],
            validation=splits["validation"],
            depth_unit=INFO.depth_unit,
            seed=7,
        )

    return make


@pytest.fixture
def run(tmp_path):
    """Runs a trainer with a checkpoint of a name; returns its history."""

    def run_trainer(
        trainer, checkpoint="checkpoint", *, stop=lambda: False, loader_workers=0,
        checkpoint_every_s=1e9, progress=lambda *_: None, told=lambda entry: None,
    ):  # fmt: skip
        return trainer.run(
            checkpoint=tmp_path / checkpoint,
            checkpoint_every_s=checkpoint_every_s,
            loader_workers=loader_workers,
            stop=stop,
            progress=progress,
            told=told,
        )

    return run_trainer


@pytest.fixture
def stop_after():
    """Makes a stop flag that says no a number of times."""

    def make(questions):
        asked = iter(range(10_000))
        return lambda: next(asked) >= questions

    return make


@pytest.fixture
def run_in_pieces(make_trainer, run, stop_after):
    """Trains to the end with stops after some numbers of questions; returns trainer and history."""

    def run_pieces(*questions, loader_workers=0, **settings):
        for count in questions:
            with pytest.raises(StopRequested):
                run(
                    make_trainer(**settings), "pieces", stop=stop_after(count),
                    loader_workers=loader_workers,
                )  # fmt: skip
        trainer = make_trainer(**settings)
        return trainer, run(trainer, "pieces", loader_workers=loader_workers)

    return run_pieces
