"""Both engines of IROF on the same items of a user's run: `mtljobs compare-engines`.

No shard: nothing is written, and nothing that is planned depends on it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from mtljobs.contracts import Curve, Explained, Faithfulness, Progress, Score, Shard
from mtljobs.explain.agreement import (
    curve_deviations,
    fed_images,
    pooling_positions,
    score_deviation,
)
from mtljobs.ledger.paths import RunFolder, Workspace, scratch_folder
from mtljobs.plan.frozen import Plan
from mtljobs.settings import build
from mtljobs.settings.base import restore
from mtljobs.settings.explain import IROF, QUANTUS_SUPERPIXELS, FaithfulnessChoice, QuantusIROF
from mtljobs.settings.resources import Resources
from mtljobs.stages.explain import open_explainer
from mtljobs.stages.materials import apply_numerics, open_dataset, open_info
from mtljobs.stages.work import Work

NOTABLE = 1e-5
"""A deviation above it is looked into."""

LARGE = 1e-4
"""A deviation above it is counted apart."""


def compare_engines(
    plan: Plan,
    shard: Shard,
    *,
    run: RunFolder,
    workspace: Workspace,
    images: int,
    progress: Progress,
) -> dict[str, Any]:
    """How far our engine and Quantus are apart on a cell's first images, task by task.

    Both drive the cell's network in exact float32, whatever `explain.forward` says, in the stable
    order and with the drifting fill; superpixels are those that Quantus makes.

    Args:
        plan: Of the run.
        shard: Any of the cell's of the stage `explain`.
        images: At most so many of the experiment's.

    Returns:
        Task -> what `summarise` says of it.
    """
    work = Work(
        shard=shard,
        layouts=plan.layouts,
        backend=plan.backend,
        resources=restore(Resources, plan.resources),
        run=run,
        workspace=workspace,
        output=run.tables,  # nothing is written there, nor in the other
        scratch=scratch_folder(workspace, run, shard),
        stop=lambda: False,
        progress=progress,
    )
    explainer = open_explainer(work, apply_numerics(work))
    shown = _open_images(work, images)
    compared: dict[str, Any] = {}
    for name, task in explainer.tasks.items():
        both = _BothEngines(work, explainer.model)
        alone = dataclasses.replace(
            explainer, tasks={name: task}, forward=explainer.model, faithfulness=both
        )
        for index, _ in enumerate(alone.explain(shown), start=len(compared) * len(shown)):
            progress(index + 1, len(explainer.tasks) * len(shown), f"images, {name}")
        compared[name] = summarise(both.items, seconds=both.seconds)
    return compared


def _open_images(work: Work, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The experiment's first images, each with the superpixels that Quantus makes of it."""
    info = open_info(work)
    dataset = open_dataset(work, info, "test")
    superpixels = build(QUANTUS_SUPERPIXELS)
    chosen = work.layouts[work.shard.place["experiment"]].images[:count]
    images = [dataset[info.splits["test"].index(image_id)]["image"] for image_id in chosen]
    return [(image, superpixels.segments(image)) for image in images]


@dataclass(frozen=True)
class Item:
    """How two engines' answers to one item compare.

    Attributes:
        same_status: They agree on whether there is a curve, and why not.
        curve: Largest deviation of a step, as `curve_deviations`; NaN without two curves.
        score: Deviation of Quantus's number, as `score_deviation`; NaN without two curves.
        positions: Positions of max-pooling that differ at the step of the largest deviation, where
            one is notable; else 0.
    """

    same_status: bool
    curve: float = np.nan
    score: float = np.nan
    positions: int = 0

    @property
    def deviation(self) -> float:
        """The larger of the two; 0 where there is nothing to compare."""
        return float(np.nan_to_num(max(self.curve, self.score)))

    @property
    def is_unexplained(self) -> bool:
        """Other than rounding and ties in max-pooling can make it."""
        return not self.same_status or (self.deviation > NOTABLE and not self.positions)


@dataclass
class _BothEngines:
    """Behind the seam of one engine, two: keeps how they compare, and gives no curves.

    Attributes:
        network: What their `predict` calls.
        items: What they were asked for so far.
        seconds: That each engine took.
    """

    work: Work
    network: nn.Module
    items: list[Item] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"irof": 0.0, "irof_quantus": 0.0})

    def __post_init__(self) -> None:
        spec = self.work.shard.spec
        epsilon = restore(FaithfulnessChoice, spec["faithfulness"]).epsilon
        choices = (
            IROF(name="irof", epsilon=epsilon),
            QuantusIROF(name="irof_quantus", epsilon=epsilon),
        )
        self._engines: dict[str, Faithfulness] = {
            choice.name: build(choice, batch=spec["irof_batch"]) for choice in choices
        }

    def curves(
        self,
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Iterable[Explained],
    ) -> Iterator[list[Curve]]:
        """Nothing for each image, once its items were compared."""
        for one in explained:
            ours, theirs = (self._timed(name, predict, score, one) for name in self._engines)
            for group, pair in enumerate(zip(ours, theirs, strict=True)):
                self.items.append(self._compare(*pair, predict, one, group))
            yield []

    def _timed(
        self, name: str, predict: Callable[[Tensor], Tensor], score: Score, explained: Explained
    ) -> list[Curve]:
        begin = time.perf_counter()
        [curves] = self._engines[name].curves(predict, score, [explained])
        self.seconds[name] += time.perf_counter() - begin
        return curves

    def _compare(
        self,
        ours: Curve,
        theirs: Curve,
        predict: Callable[[Tensor], Tensor],
        explained: Explained,
        group: int,
    ) -> Item:
        same_status = ours.status == theirs.status
        if np.isnan(ours.scores[0]) or np.isnan(theirs.scores[0]):
            return Item(same_status)
        deviations = curve_deviations(ours, theirs)
        item = Item(same_status, deviations.max(), score_deviation(ours, theirs))
        if item.deviation <= NOTABLE:
            return item
        step = int(deviations.argmax())
        return dataclasses.replace(item, positions=self._positions(predict, explained, group, step))

    def _positions(
        self, predict: Callable[[Tensor], Tensor], explained: Explained, group: int, step: int
    ) -> int:
        """Positions of max-pooling that differ between the engines at one step.

        Either image is computed in a batch as large as the one in which its engine had it computed.
        """
        ours, theirs = (fed_images(engine, explained, group) for engine in self._engines.values())
        batch, row = divmod(step - 1, len(ours[0]))  # the clean image is not among them
        found = pooling_positions(self.network, predict, ours[batch], row)
        expected = pooling_positions(self.network, predict, theirs[step], 0)
        return sum(int((a != b).sum()) for a, b in zip(found, expected, strict=True))


def summarise(items: Sequence[Item], *, seconds: dict[str, float]) -> dict[str, Any]:
    """A task's items in numbers, as JSON values.

    Returns:
        Counts; the median, 99 % quantile and maximum of the deviations of curves and of Quantus's
        scores, None without any; how many items are above `NOTABLE` and `LARGE`; of the notable
        ones, how many have positions of max-pooling that differ, and how many of all items are
        unexplained; the seconds of either engine.
    """
    curves = np.array([item.curve for item in items if np.isfinite(item.curve)])
    scores = np.array([item.score for item in items if np.isfinite(item.curve)])
    notable = [item for item in items if item.deviation > NOTABLE]
    return {
        "items": len(items),
        "curves": len(curves),
        "same_status": sum(item.same_status for item in items),
        "curve": _quantiles(curves),
        "score": _quantiles(scores),
        "above_1e-5": len(notable),
        "above_1e-4": sum(item.deviation > LARGE for item in items),
        "pooling_differs": sum(item.positions > 0 for item in notable),
        "positions": sum(item.positions for item in notable),
        "unexplained": sum(item.is_unexplained for item in items),
        "seconds": seconds,
    }


def _quantiles(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    median, most, largest = np.quantile(values, [0.5, 0.99, 1.0]).tolist()
    return {"median": median, "99%": most, "max": largest}
