"""Both engines of IROF on the same items of a user's run: `mtljobs compare-engines`.

No shard: nothing is written, and nothing that is planned depends on it.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtljobs.contracts import Curve, Explained, Faithfulness, Progress, Score, Shard
from mtljobs.errors import DataError
from mtljobs.explain.agreement import (
    curve_deviations,
    fed_images,
    pooling_positions,
    score_deviation,
)
from mtljobs.ledger.paths import RunFolder, Workspace, scratch_folder
from mtljobs.plan.frozen import Plan
from mtljobs.settings import build
from mtljobs.settings.base import canonical, restore
from mtljobs.settings.explain import (
    IROF,
    QUANTUS_SUPERPIXELS,
    FaithfulnessChoice,
    Forward,
    QuantusIROF,
)
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
        images: At most so many of the experiment's that can be read.

    Returns:
        Task -> what `summarise` says of it.
    """
    work = Work(
        shard=_exact(shard),
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
        both = _BothEngines(shard.spec, explainer.model, name)
        alone = dataclasses.replace(explainer, tasks={name: task}, faithfulness=both)
        for index, _ in enumerate(alone.explain(shown), start=len(compared) * len(shown)):
            progress(index + 1, len(explainer.tasks) * len(shown), f"images, {name}")
        compared[name] = summarise(both.items, seconds=both.seconds)
    return compared


def _exact(shard: Shard) -> Shard:
    """The shard as if its experiment asked for the network as it is: nothing is compiled, say."""
    return dataclasses.replace(shard, spec={**shard.spec, "forward": canonical(Forward())})


def _open_images(work: Work, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The experiment's first images, each with the superpixels that Quantus makes of it.

    Raises:
        DataError: None of the experiment's images can be read.
    """
    info = open_info(work)
    dataset = open_dataset(work, info, "test")
    superpixels = build(QUANTUS_SUPERPIXELS)
    images: list[np.ndarray] = []
    unreadable: list[DataError] = []
    for image_id in work.layouts[work.shard.place["experiment"]].images:
        try:
            images.append(dataset[info.splits["test"].index(image_id)]["image"])
        except DataError as error:  # in the run it has the status 8, and no curve to compare
            unreadable.append(error)
        if len(images) == count:
            break
    if not images:
        raise unreadable[0]
    return [(image, superpixels.segments(image)) for image in images]


@dataclass(frozen=True)
class Item:
    """How two engines' answers to one item compare.

    Attributes:
        same_status: They agree on whether there is a curve, and why not.
        curve: Largest deviation of a step, as `curve_deviations`; NaN without two curves.
        score: Deviation of Quantus's number, as `score_deviation`; NaN without two curves.
        positions: Positions of max-pooling that differ at the step of the largest deviation; 0
            where the deviation is not notable.
        in_float64: The deviation of that step where the network computes both engines' images in
            float64; NaN where the deviation is not notable.
    """

    same_status: bool
    curve: float = np.nan
    score: float = np.nan
    positions: int = 0
    in_float64: float = np.nan

    @property
    def is_notable(self) -> bool:
        """Some deviation is looked into."""
        return max(self.curve, self.score) > NOTABLE

    @property
    def is_rounding(self) -> bool:
        """A notable deviation of float32 alone, that no tie in max-pooling made."""
        return self.is_notable and not self.positions and self.in_float64 <= NOTABLE

    @property
    def is_unexplained(self) -> bool:
        """Neither rounding nor ties in max-pooling made it."""
        explained = self.positions > 0 or self.is_rounding
        return not self.same_status or (self.is_notable and not explained)


class _BothEngines:
    """Behind the seam of one engine, two: keeps how they compare, and gives no curves.

    Args:
        network: What their `predict` calls.
        task: For which.

    Attributes:
        items: How they compare on what they were asked for so far.
        seconds: That each engine took.
    """

    def __init__(self, spec: Mapping[str, Any], network: nn.Module, task: str) -> None:
        epsilon = restore(FaithfulnessChoice, spec["faithfulness"]).epsilon
        choices = (
            IROF(name="irof", epsilon=epsilon),
            QuantusIROF(name="irof_quantus", epsilon=epsilon),
        )
        self._engines: dict[str, Faithfulness] = {
            choice.name: build(choice, batch=spec["irof_batch"]) for choice in choices
        }
        self._network = network
        self._task = task
        self.items: list[Item] = []
        self.seconds = dict.fromkeys(self._engines, 0.0)

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
                self.items.append(self._compare(pair, predict, score, one, group=group))
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
        curves: tuple[Curve, Curve],
        predict: Callable[[Tensor], Tensor],
        score: Score,
        explained: Explained,
        *,
        group: int,
    ) -> Item:
        ours, theirs = curves
        same_status = ours.status == theirs.status
        if np.isnan(ours.scores[0]) or np.isnan(theirs.scores[0]):
            return Item(same_status)
        deviations = curve_deviations(ours, theirs)
        item = Item(same_status, float(deviations.max()), score_deviation(ours, theirs))
        if not item.is_notable:
            return item
        ours_fed, theirs_fed = (
            fed_images(engine, explained, group) for engine in self._engines.values()
        )
        step = int(deviations.argmax())
        # Either image in a batch as large as the one in which its engine had it computed; the
        # clean image is the first that Quantus asks for, and none of ours.
        batch, row = divmod(step - 1, len(ours_fed[0]))
        found = pooling_positions(self._network, predict, ours_fed[batch], row)
        expected = pooling_positions(self._network, predict, theirs_fed[step], 0)
        images = torch.stack([explained.image, ours_fed[batch][row], theirs_fed[step][0]])
        clean, *both = self._exact_scores(images, score, explained, group)
        largest = float(np.abs(theirs.scores).max())
        return dataclasses.replace(
            item,
            positions=sum(int((a != b).sum()) for a, b in zip(found, expected, strict=True)),
            in_float64=abs(both[0] - both[1]) / abs(clean * largest),
        )

    def _exact_scores(
        self, images: Tensor, score: Score, explained: Explained, group: int
    ) -> list[float]:
        """An item's score on each image, the clean one first, computed in float64."""
        network = copy.deepcopy(self._network).double()
        with torch.inference_mode():
            predictions = network(images.double(), (self._task,))[self._task]
            scores = score(
                predictions,
                clean=predictions[:1].expand_as(predictions),
                mask=explained.masks[[group] * len(images)],
                group=torch.full((len(images),), group, device=images.device),
            )
        return scores.tolist()


def summarise(items: Sequence[Item], *, seconds: dict[str, float]) -> dict[str, Any]:
    """A task's items in numbers, as JSON values.

    Returns:
        Counts; the median, 99 % quantile and maximum of the deviations of curves and of Quantus's
        scores, None without any; how many items are above `NOTABLE` and `LARGE`; of how many of
        these positions of max-pooling differ, how many others agree in float64, and how many of
        all items are unexplained; the seconds of either engine.
    """
    curves = np.array([item.curve for item in items if np.isfinite(item.curve)])
    scores = np.array([item.score for item in items if np.isfinite(item.curve)])
    notable = [item for item in items if item.is_notable]
    return {
        "items": len(items),
        "curves": len(curves),
        "same_status": sum(item.same_status for item in items),
        "curve": _quantiles(curves),
        "score": _quantiles(scores),
        "above_1e-5": len(notable),
        "above_1e-4": sum(max(item.curve, item.score) > LARGE for item in notable),
        "pooling_differs": sum(item.positions > 0 for item in notable),
        "positions": sum(item.positions for item in notable),
        "rounding": sum(item.is_rounding for item in notable),
        "unexplained": sum(item.is_unexplained for item in items),
        "seconds": seconds,
    }


def _quantiles(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    median, most, largest = np.quantile(values, [0.5, 0.99, 1.0]).tolist()
    return {"median": median, "99%": most, "max": largest}
