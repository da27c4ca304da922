"""IROF of SegNet-MTAN: our engine against Quantus 0.5.3, which drives the whole network.

    make .oracle/quantus-0.5.3/ready
    python benchmarks/test_irof_quantus.py

prints, for networks of three and of two tasks, the seconds of one step on either side, their
ratio, and how far our scores are from Quantus's. Both drive the same network from the same image
in the same order. Quantus cannot ask for one task's branch, nor for two images at once.

An item takes a hundred steps, so only the first few are made: both sides are stopped from inside
the network. What is timed is a step, from one call of the network to the next, with all that
happens in between: the median over a round's steps, the least of all rounds, in which the sides
take turns. SLIC and ordering, once per item, are left out on both sides.

Each side runs in processes of its own, as people run them: Quantus as it comes, ours with the
memory that every stage of the pipeline keeps (`mtljobs.stages.memory`). As a test it runs once,
small.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.scene import Size, depth, explain_depth, machine, segnet
from mtljobs.contracts import Explained
from mtljobs.settings import build
from mtljobs.settings.explain import IROF, Forward
from mtljobs.stages.memory import keep_freed_memory

ORACLE = Path(__file__).resolve().parents[1] / ".oracle" / "quantus-0.5.3"
FAST = Forward(folded=True, channels_last=True)
PATHS = {
    "exact, batch 1": (1, Forward()),
    "exact, batch 4": (4, Forward()),
    "fast, batch 1": (1, FAST),
    "fast, batch 4": (4, FAST),
}
"""Our side: images per call of the network, and how it computes."""


class Enough(Exception):  # noqa: N818 (an event, not a fault)
    """As many images as were asked for went through the network."""


class Watch:
    """An item's score for images, until there are enough.

    Args:
        predict: Images -> depths.
        limit: How many images.

    Attributes:
        scores: One per image.
        seconds: Per image, from one call to the next.
    """

    def __init__(
        self, predict: Callable[[Tensor], Tensor], explained: Explained, *, limit: int
    ) -> None:
        self._predict = predict
        self._explained = explained
        self._limit = limit
        self._begin = 0.0
        self.scores: list[float] = []
        self.seconds: list[float] = []

    def __call__(self, images: Tensor) -> Tensor:
        now = time.perf_counter()
        if self.scores:
            self.seconds.append((now - self._begin) / len(images))
        if len(self.scores) >= self._limit:
            raise Enough
        self._begin = time.perf_counter()
        scores = depth(bins=1).score(
            self._predict(images),
            clean=self._explained.clean.expand(len(images), -1, -1, -1),
            mask=self._explained.masks.expand(len(images), -1, -1),
            group=torch.zeros(len(images), dtype=torch.int64),
        )
        self.scores += scores.tolist()
        return scores


class Classifier(nn.Module):
    """What Quantus takes for a network of one class."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def forward(self, images: Tensor) -> Tensor:
        return self._watch(images).double()[:, None]


def run_quantus(network: Any, explained: Explained, *, limit: int) -> Watch:
    """Every branch of the network computes, and the clean image goes through it first."""
    from quantus import IROF as QuantusIROF  # noqa: N811, PLC0415 (of the oracle's folder)

    watch = Watch(
        lambda images: network(images, network.tasks)["depth"], explained, limit=limit + 1
    )
    with pytest.raises(Enough):
        QuantusIROF(return_aggregate=False, disable_warnings=True)(
            model=Classifier(watch).eval(),
            x_batch=explained.image[None].numpy(),
            y_batch=np.zeros(1, dtype=int),
            a_batch=explained.maps[None].numpy(),
            channel_first=True,
            softmax=False,
            device="cpu",
        )
    # SLIC and ordering stand between the clean image and the first step.
    del watch.scores[0], watch.seconds[0]
    return watch


def run_engine(forward: Any, explained: Explained, *, limit: int, batch: int) -> Watch:
    """One branch computes."""
    watch = Watch(lambda images: forward(images, ("depth",))["depth"], explained, limit=limit)
    engine = build(IROF(name="irof"), batch=batch)
    with pytest.raises(Enough):
        # The watch scores, as it does for Quantus; to the engine every image is as good.
        list(engine.curves(watch, lambda images, **_: torch.ones(len(images)), [explained]))
    return watch


def measure(side: str, *, size: Size, width: float, tasks: int, limit: int) -> dict[str, Any]:
    """Seconds of a step, and the scores, of each path of one side."""
    if side == "mtljobs":
        keep_freed_memory()
    network = segnet(width=width, size=size, tasks=tasks)
    explained = explain_depth(
        lambda images: network(images, ("depth",))["depth"], size, segments=100, bins=1
    )
    if side == "Quantus":
        watches = {side: run_quantus(network, explained, limit=limit)}
    else:
        example = (explained.image[None], ("depth",))
        watches = {
            name: run_engine(
                build(choice, network=network, example=example),
                explained,
                limit=limit,
                batch=batch,
            )
            for name, (batch, choice) in PATHS.items()
        }
    return {
        name: {"seconds": statistics.median(watch.seconds), "scores": watch.scores[:limit]}
        for name, watch in watches.items()
    }


def compare(*, rounds: int, threads: int, **case: Any) -> None:
    """Print what a step costs on either side, each in a process of its own, in turns."""
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for side in ("Quantus", "mtljobs"):
            command = [sys.executable, __file__, json.dumps({**case, "side": side}), str(threads)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            for name, new in json.loads(printed.stdout).items():
                if name not in found or new["seconds"] < found[name]["seconds"]:
                    found[name] = new
    reference = found["Quantus"]
    print(", ".join(f"{name} {value}" for name, value in case.items()))
    for name, own in found.items():
        deviation = np.abs(np.subtract(own["scores"], reference["scores"])).max()
        print(
            f"  {name:15} {own['seconds']:.4f} s a step, "
            f"{reference['seconds'] / own['seconds']:.2f} x, deviation {deviation:.1e}",
            flush=True,
        )


def test_engine_and_quantus_score_the_same_images(capsys: pytest.CaptureFixture[str]) -> None:
    if not ORACLE.is_dir():
        pytest.skip(f"Quantus 0.5.3 is not in {ORACLE}: make test installs it")
    compare(rounds=1, threads=1, size=(32, 32), width=1 / 16, tasks=2, limit=8)
    deviations = [float(found) for found in re.findall(r"deviation (\S+)", capsys.readouterr().out)]
    assert len(deviations) == 1 + len(PATHS)
    assert max(deviations) < 1e-3


def main() -> None:
    if sys.argv[1:]:
        warnings.simplefilter("ignore")  # 0.5.3 calls what numpy will remove
        sys.path.insert(0, str(ORACLE))
        torch.set_num_threads(int(sys.argv[2]))
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
        return
    print(f"{machine()}, threads 2")
    for size in ((128, 256), (288, 384)):
        for tasks in (3, 2):
            compare(rounds=3, threads=2, size=size, width=1.0, tasks=tasks, limit=8)


if __name__ == "__main__":
    main()
