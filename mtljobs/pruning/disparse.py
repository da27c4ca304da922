"""DiSparse: each task scores the weights that it uses, and a shared one goes if none wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.contracts import Batch, ChannelGroup, Model, PhaseKind
from mtljobs.errors import MtljobsError
from mtljobs.pruning.disparse_dynamic import GrowingMasks
from mtljobs.pruning.masks import all_convolutions, set_mask
from mtljobs.pruning.task_scores import (
    PerTask,
    agreement,
    gradient_sizes,
    overlap,
    places,
    scoring,
    task_convolutions,
)

Variant = Literal["static", "pretrained", "dynamic"]
Score = Literal["sensitivity", "magnitude", "squared"]

Shares = Mapping[str, Float[Tensor, "task ..."]]
"""Convolution -> for each task that uses it, the keep ratio from which on a weight is kept."""

HALVINGS = 40
"""Of the interval that the keep ratio is sought in: enough to tell one weight of 2^39."""


class DiSparse:
    """Mask the weights that every task which uses them can do without.

    Args:
        variant: Read by the recipe, not here.
        score: What a weight w with the gradient g is worth: "sensitivity" |w g|, "squared" w^2 |g|,
            "magnitude" |w|; |g| is added over the batches.
        scored_weights: "own", or "xavier" for a copy that was initialised anew.
        keep_ratio: Share of its weights that each task keeps: "bisected" for the sparsity,
            "nominal" for 1 - sparsity, or a number.
        dropout: Draw dropout while scoring and growing.
        batches: Scored at most; fewer where the training split has fewer.
        batch: Images per batch; read by the stage, not here.
        tune_iterations: Read by the recipe, not here.
        tune_learning_rate: Read by the recipe, not here.
        update_every: Of `GrowingMasks`, as the rest.

    Source:
        Sun et al., DiSparse: Disentangled Sparsification for Multitask Model Compression
        (arXiv:2206.04662). Departures: the keep ratio is bisected until the share of all weights
        that are gone is the sparsity asked for. Weights of equal score are told apart by their
        position, where the published threshold keeps all of them. Scores are those of the weights
        that will be trained, without dropout, by default.
    """

    def __init__(
        self,
        *,
        variant: Variant,
        score: Score,
        scored_weights: Literal["own", "xavier"],
        keep_ratio: Literal["bisected", "nominal"] | float,
        dropout: bool,
        batches: int,
        batch: int,
        tune_iterations: int,
        tune_learning_rate: float,
        update_every: int,
        drop_fraction: float,
        update_until: float,
        erk_power: float,
    ) -> None:
        self.score = score
        self.scored_weights = scored_weights
        self.keep_ratio = keep_ratio
        self.dropout = dropout
        self.batches = batches
        self.update_every = update_every
        self.drop_fraction = drop_fraction
        self.update_until = update_until
        self.erk_power = erk_power

    def hooks(
        self, kind: PhaseKind, model: nn.Module, *, sparsity: float | None, iterations: int
    ) -> Sequence[GrowingMasks]:
        """The moving masks, where a training prunes as it goes."""
        if sparsity is None:
            return []
        return [
            GrowingMasks(
                model,
                sparsity=sparsity,
                update_every=self.update_every,
                end=int(self.update_until * iterations),
                drop_fraction=self.drop_fraction,
                erk_power=self.erk_power,
                dropout=self.dropout,
            )
        ]

    def cut(
        self,
        model: nn.Module,
        *,
        sparsity: float,
        groups: Sequence[ChannelGroup],
        batches: Iterable[Batch],
        losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
    ) -> None:
        """Mask the share `sparsity` of all weights of all convolutions.

        Raises:
            MtljobsError: A score is not finite, as after a training that diverged.
        """
        shares = ranked(self._scores(model, batches, losses))
        ratio = self._chosen_ratio(shares, sparsity)
        for name, convolution in all_convolutions(model).items():
            masks = shares[name] <= ratio
            set_mask(convolution, masks.any(dim=0), agreement=agreement(*overlap([*masks])))

    def _scores(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
    ) -> PerTask:
        """Worth of every weight to each task."""
        if self.scored_weights == "xavier":
            model = deepcopy(model)
            for convolution in all_convolutions(model).values():
                nn.init.xavier_normal_(convolution.weight)
        weights = {
            name: conv.weight.detach().abs() for name, conv in all_convolutions(model).items()
        }
        if self.score == "magnitude":
            return {
                task: {name: weights[name] for name in task_convolutions(model, task)}
                for task in cast("Model", model).tasks
            }
        with scoring(model, dropout=self.dropout):
            sizes = gradient_sizes(model, islice(batches, self.batches), losses)
        power = {"sensitivity": 1, "squared": 2}[self.score]
        return {
            task: {name: weights[name] ** power * size for name, size in layers.items()}
            for task, layers in sizes.items()
        }

    def _chosen_ratio(self, shares: Shares, sparsity: float) -> float:
        if self.keep_ratio == "bisected":
            return bisect_keep_ratio(shares, sparsity=sparsity)
        # Of four digits, as sparsities are: 1 - 0.9 is a little less than 0.1.
        return round(1 - sparsity, 4) if self.keep_ratio == "nominal" else self.keep_ratio


def ranked(scores: PerTask) -> Shares:
    """The keep ratio from which on a task keeps a weight, for every weight and task that uses it.

    That is the weight's place among all that the task uses, by score, divided by their number.

    Raises:
        MtljobsError: A score is not finite.

    Example:
        >>> score = torch.tensor([0.1, 0.4, 0.3, 0.2])
        >>> ranked({"depth": {"shared": score}, "normals": {"shared": -score}})["shared"].tolist()
        [[1.0, 0.25, 0.5, 0.75], [0.25, 1.0, 0.75, 0.5]]
    """
    shares: dict[str, list[Tensor]] = {}
    for task, layers in scores.items():
        if odd := [name for name, score in layers.items() if not score.isfinite().all()]:
            raise MtljobsError(
                f"what {task} makes of the weights of {', '.join(odd[:3])} is not finite, in "
                f"{len(odd)} of {len(layers)} layers: the training before this cut diverged, or "
                "the loss of an image does; look at the losses, and lower the learning rate"
            )
        count = sum(score.numel() for score in layers.values())
        for name, place in zip(layers, places([*layers.values()]), strict=True):
            shares.setdefault(name, []).append(place.double() / count)
    return {name: torch.stack(of_tasks) for name, of_tasks in shares.items()}


def bisect_keep_ratio(shares: Shares, *, sparsity: float) -> float:
    """The keep ratio of every task at which, of all weights together, the sparsity is gone.

    As the ratio grows each task adds a weight at a time, so that what is kept is off by less than
    one weight per task.

    Args:
        shares: As from `ranked`.

    Example:
        >>> opposed = torch.tensor([[0.25, 0.5, 0.75, 1.0], [1.0, 0.75, 0.5, 0.25]])
        >>> 0.25 <= bisect_keep_ratio({"shared": opposed}, sparsity=0.5) < 0.5  # one per task
        True
    """
    # A weight stays as soon as any task keeps it.
    needed = torch.cat([of_tasks.amin(dim=0).flatten() for of_tasks in shares.values()])
    wanted = len(needed) - round(sparsity * len(needed))

    def surplus(ratio: float) -> int:
        return int((needed <= ratio).count_nonzero()) - wanted

    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if (found := surplus(middle)) == 0:
            return middle
        low, high = (middle, high) if found < 0 else (low, middle)
    return min(low, high, key=lambda ratio: abs(surplus(ratio)))
