"""A training step against a bare loop of the same network and batch: what the trainer costs on top.

    python benchmarks/test_training.py

prints milliseconds per step of either side and their ratio, measured alternately in one run, and
the peak memory of either side, each in a process of its own. As a test it runs once, small, and
holds that both sides come to the same weights, bit for bit.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Sample, Task
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.models import SegNetMTAN
from mtljobs.settings.tasks import Depth, Normals, Segmentation
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import Equal

LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Work:
    """What both sides do."""

    size: int
    width: float
    batch: int
    steps: int
    accumulate: int = 1


class SameImage:
    """One image, again and again, at no cost."""

    def __init__(self, *, size: int, length: int) -> None:
        rooms = Rooms(name="rooms", size=(size, size), train=1, test=1)
        self._sample = build(rooms, info=rooms.info(), split="train", root=None)[0]
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        return self._sample


def network(width: float, tasks: dict[str, Task]) -> nn.Module:
    torch.manual_seed(0)
    choice = SegNetMTAN(name="segnet_mtan", width=width)
    channels = {name: task.channels for name, task in tasks.items()}
    model: nn.Module = build(choice, channels=channels, widths=None)
    return model


def make_tasks() -> dict[str, Task]:
    info = Rooms(name="rooms").info()
    choices = (Segmentation(name="segmentation"), Depth(name="depth"), Normals(name="normals"))
    return {choice.name: build(choice, info=info) for choice in choices}


def train(work: Work, after_step: Callable[[], None]) -> nn.Module:
    """The network after some steps of the trainer."""
    tasks = make_tasks()
    images = SameImage(size=work.size, length=work.batch)
    trainer = build(
        Training(
            iterations=work.steps,
            batch=work.batch,
            accumulate=work.accumulate,
            learning_rate=LEARNING_RATE,
        ),
        model=network(work.width, tasks),
        tasks=tasks,
        weighting=build(Equal(name="equal"), tasks=tuple(tasks)),
        hooks=(),
        dataset=images,
        validation=images,
        depth_unit="m",
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer.run(
            checkpoint=Path(folder) / "checkpoint",
            checkpoint_every_s=1e9,
            loader_workers=0,
            stop=lambda: False,
            progress=lambda *_: after_step(),
            told=lambda entry: None,
        )
    model: nn.Module = trainer.model
    return model


def loop(work: Work, after_step: Callable[[], None]) -> nn.Module:
    """The network after as many steps of nothing but forward, losses, backward and step."""
    tasks = make_tasks()
    model = network(work.width, tasks).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    sample = SameImage(size=work.size, length=1)[0]
    batch: dict[str, Tensor] = {
        name: torch.from_numpy(np.stack([values] * work.batch)) for name, values in sample.items()
    }
    for _ in range(work.steps):
        optimiser.zero_grad(set_to_none=True)
        predictions = model(batch["image"], tuple(tasks))
        losses = [task.loss(predictions[name], batch[name]) for name, task in tasks.items()]
        torch.stack(losses).sum().backward()
        optimiser.step()
        after_step()
    return model


SIDES = {"trainer": train, "bare": loop}


def seconds_per_step(work: Work, rounds: int) -> dict[str, float]:
    """Of either side, the fastest of all steps but the first of each round."""
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, run in SIDES.items():
            ends: list[float] = []
            run(work, lambda ends=ends: ends.append(time.process_time()))
            found[side] += [end - begin for begin, end in pairwise(ends)]
    return {side: min(seconds) for side, seconds in found.items()}


def peak_mb(work: Work, side: str) -> float:
    """How far one side's steps raise the peak memory of a process that has loaded everything."""
    torch.set_num_threads(1)
    SIDES[side](Work(size=32, width=1 / 64, batch=work.accumulate, steps=1), lambda: None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    SIDES[side](work, lambda: None)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def test_trainer_and_bare_loop_come_to_the_same_weights() -> None:
    work = Work(size=32, width=1 / 32, batch=2, steps=3)
    steps = {"trainer": 0, "bare": 0}

    def count(side: str) -> Callable[[], None]:
        def step() -> None:
            steps[side] += 1

        return step

    trained, bare = (run(work, count(side)).state_dict() for side, run in SIDES.items())
    assert steps == {"trainer": 3, "bare": 3}
    assert all(torch.equal(trained[name], bare[name]) for name in bare)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", choices=SIDES)
    parser.add_argument("--accumulate", type=int, default=1)
    options = parser.parse_args()
    large = Work(size=192, width=1 / 8, batch=4, steps=2, accumulate=options.accumulate)
    if options.peak:
        print(peak_mb(large, options.peak))
        return
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread")
    for work in (
        Work(size=32, width=1 / 16, batch=2, steps=12),
        Work(size=64, width=1 / 16, batch=8, steps=6),
    ):
        found = seconds_per_step(work, rounds=3)
        print(
            f"{work.size} x {work.size}, batch {work.batch}: trainer "
            f"{1e3 * found['trainer']:.1f} ms, bare {1e3 * found['bare']:.1f} ms, ratio "
            f"{found['trainer'] / found['bare']:.3f}"
        )
    peaks = {
        name: float(subprocess.check_output([sys.executable, __file__, *arguments]))  # noqa: S603
        for name, arguments in {
            "trainer": ["--peak", "trainer"],
            "bare": ["--peak", "bare"],
            "trainer, 4 parts": ["--peak", "trainer", "--accumulate", "4"],
        }.items()
    }
    print("peak memory of a step:", ", ".join(f"{name} {mb:.0f} MB" for name, mb in peaks.items()))
    print(f"ratio {peaks['trainer'] / peaks['bare']:.3f}")


if __name__ == "__main__":
    main()
