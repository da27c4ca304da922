"""Training stopped and resumed: the same network, however often and with however many loaders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import DivergedError, StopRequested
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import Equal
from mtljobs.training.loop import Trainer

torch.set_num_threads(1)
ROOMS = Rooms(name="rooms", size=(32, 32), train=10, test=1)
TRAINING = Training(iterations=9, batch=4, learning_rate=1e-2, decay_every=3, flip=True)


class TwoHeads(nn.Module):
    """Batch norm keeps statistics, Adam moments, dropout draws: all must survive."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3)
        )
        self.heads = nn.ModuleDict({"depth": nn.Conv2d(4, 1, 1), "normals": nn.Conv2d(4, 3, 1)})

    def forward(self, images: torch.Tensor, tasks: tuple[str, ...]) -> dict[str, torch.Tensor]:
        shared = self.shared(images)
        return {task: self.heads[task](shared) for task in tasks}


def make_trainer() -> Trainer:
    torch.manual_seed(0)
    info: DatasetInfo = ROOMS.info()
    trainer: Trainer = build(
        TRAINING,
        model=TwoHeads(),
        tasks={
            "depth": build(Depth(name="depth"), info=info),
            "normals": build(Normals(name="normals"), info=info),
        },
        weighting=build(Equal(name="equal"), tasks=("depth", "normals")),
        hooks=(),
        dataset=build(ROOMS, info=info, split="train", root=None),
        seed=7,
    )
    return trainer


def train(
    checkpoint: Path, *, stop: Callable[[], bool] = lambda: False, loader_workers: int = 0
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    trainer = make_trainer()
    history = trainer.run(
        checkpoint=checkpoint,
        checkpoint_every_s=1e9,
        loader_workers=loader_workers,
        stop=stop,
        progress=lambda done, total, what: None,
    )
    return trainer.model.state_dict(), history


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3")  # fewer cores are no fault
@pytest.mark.parametrize("loader_workers", [0, 1, 3])
def test_training_stopped_twice_ends_in_the_same_bits_with_any_number_of_loader_workers(
    loader_workers: int, tmp_path: Path
) -> None:
    weights, history = train(tmp_path / "straight")
    for steps in (2, 5):
        with pytest.raises(StopRequested):
            train(tmp_path / "resumed", stop=stop_after(steps), loader_workers=loader_workers)
    resumed, resumed_history = train(tmp_path / "resumed", loader_workers=loader_workers)
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)
    assert resumed_history == history
    assert [entry["iteration"] for entry in history] == list(range(1, 10))


def test_stop_is_heard_before_the_next_step_and_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(StopRequested, match="iteration 4"):
        train(tmp_path / "checkpoint", stop=stop_after(4))
    trainer = make_trainer()
    seen: list[int] = []
    trainer.run(
        checkpoint=tmp_path / "checkpoint",
        checkpoint_every_s=1e9,
        loader_workers=0,
        stop=lambda: False,
        progress=lambda done, total, what: seen.append(done),
    )
    assert seen == [5, 6, 7, 8, 9]


def test_corrupt_checkpoint_is_set_aside_and_training_comes_to_the_same_network(
    tmp_path: Path,
) -> None:
    weights, _ = train(tmp_path / "straight")
    checkpoint = tmp_path / "checkpoint.bin"
    with pytest.raises(StopRequested):
        train(checkpoint, stop=stop_after(5))
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(bytes(content))
    again, _ = train(checkpoint)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert checkpoint.with_suffix(".corrupt").exists()


def test_learning_rate_halves_every_decay_and_starts_there_after_a_resume() -> None:
    trainer = make_trainer()
    rates = []
    for trainer.iteration in (0, 2, 3, 8):
        rates.append(trainer._rate())
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 5e-3, 2.5e-3])


def test_diverged_training_says_so_instead_of_leaving_a_network_of_nan(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.learning_rate = 1e30
    with pytest.raises(DivergedError, match=r"Lower training\.learning_rate"):
        trainer.run(
            checkpoint=tmp_path / "checkpoint",
            checkpoint_every_s=1e9,
            loader_workers=0,
            stop=lambda: False,
            progress=lambda done, total, what: None,
        )
