"""Network Slimming: batch-norm scales are driven to zero, and channels with small ones go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mtljobs.contracts import Batch, ChannelGroup, Model, PhaseKind, Step
from mtljobs.errors import GridError, MtljobsError
from mtljobs.pruning import surgery

PenaltyForm = Literal["subgradient", "proximal"]


class NetSlim:
    """Train with an L1 penalty on batch-norm scales, then cut the channels with the smallest.

    Args:
        penalty: Weight of the L1 norm of the scales.
        penalty_form: How the penalty acts, see `ScalePenalty`.
        floor: Channels that every group keeps.
        tune_iterations: Read by the recipe, not here.

    Source:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming
        (arXiv:1708.06519). Departures: channels that are tied have one score, the mean |scale|
        of the convolutions whose ReLU output they are. Gates are neither penalised nor scored:
        a scale of 0 would leave them half open, not shut. Every group keeps a floor; groups
        without batch norms stay whole and count nowhere.
    """

    def __init__(
        self,
        *,
        penalty: float,
        penalty_form: PenaltyForm,
        floor: int,
        tune_iterations: int | None,
    ) -> None:
        self.penalty = penalty
        self.penalty_form = penalty_form
        self.floor = floor

    def hooks(
        self, kind: PhaseKind, model: nn.Module, *, sparsity: float | None, iterations: int
    ) -> Sequence[ScalePenalty]:
        """The penalty, while the network learns what it can do without; tuning is free of it."""
        return [ScalePenalty(self.penalty, form=self.penalty_form)] if kind == "train" else []

    def cut(
        self,
        model: nn.Module,
        *,
        sparsity: float,
        groups: Sequence[ChannelGroup],
        batches: Iterable[Batch],
        losses: Callable[[nn.Module, Batch], Mapping[str, Tensor]],
    ) -> None:
        """Remove the share `sparsity` of all channels with a scale, those of the smallest."""
        scored = [group for group in groups if group.normalised]
        kept = select(channel_scores(model, scored), sparsity=sparsity, floor=self.floor)
        images = next(iter(batches))["image"]
        surgery.narrow(model, kept, groups=scored, images=images)


class ScalePenalty:
    """An L1 penalty on the scales of the batch norms that channel scores are read from.

    Args:
        penalty: Weight of the L1 norm.
        form: "subgradient" adds penalty * sign(scale) to the gradient, which an adaptive optimiser
            then rescales; "proximal" moves each scale towards 0 by learning rate * penalty after
            the step, and no further than 0.
    """

    def __init__(self, penalty: float, *, form: PenaltyForm) -> None:
        self.penalty = penalty
        self.form = form

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Add the subgradient."""
        if self.form != "subgradient":
            return
        for scale in _scales(model):
            if scale.grad is not None:
                scale.grad.add_(scale.detach().sign(), alpha=self.penalty)

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: Step) -> None:
        """Shrink by the soft threshold."""
        if self.form != "proximal":
            return
        for scale in _scales(model):
            scale.copy_(functional.softshrink(scale, step.learning_rate * self.penalty))

    def state_dict(self) -> dict[str, Any]:
        """Empty: the penalty remembers nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""


def channel_scores(
    model: nn.Module, groups: Sequence[ChannelGroup]
) -> dict[str, Float[Tensor, "channel"]]:
    """Mean |scale| per channel over a group's producers, in double precision on the CPU."""
    norms = cast("Model", model).norms()
    return {
        group.name: torch.stack(
            [norm.weight.detach().cpu().double().abs() for norm in norms[group.name]]
        ).mean(dim=0)
        for group in groups
    }


def select(
    scores: Mapping[str, Float[Tensor, "channel"]], *, sparsity: float, floor: int
) -> dict[str, list[int]]:
    """The channels to keep: the best of all groups together, once each group has its floor.

    Args:
        scores: Per group, higher is better; of equal scores the earlier group and the lower index
            stays.
        sparsity: Share of all channels that goes, rounded to whole channels.
        floor: Best channels of a group that stay whatever their score; others go in their place.

    Returns:
        Indices per group, ascending.

    Raises:
        MtljobsError: A score is not finite, as after a training that diverged.
        GridError: The floors alone are more than may stay.

    Example:
        >>> scores = {"a": torch.tensor([0.9, 0.1, 0.8]), "b": torch.tensor([0.2, 0.3, 0.05])}
        >>> select(scores, sparsity=0.5, floor=1)
        {'a': [0, 2], 'b': [1]}
    """
    if odd := [name for name, score in scores.items() if not score.isfinite().all()]:
        raise MtljobsError(
            f"channel scores of {', '.join(odd)} are not finite: the training before this cut "
            "diverged; look at its losses, and lower the learning rate"
        )
    everything = torch.cat(list(scores.values()))
    keep = len(everything) - round(sparsity * len(everything))
    floors = torch.cat([_ranks(score) < floor for score in scores.values()])
    if floors.sum() > keep:
        raise GridError(
            f"a sparsity of {sparsity:g} keeps {keep} of {len(everything)} channels, but the floor "
            f"of {floor} in each of {len(scores)} groups keeps {int(floors.sum())}: ask for a "
            "lower sparsity, a lower floor or a wider network"
        )
    order = everything.argsort(descending=True, stable=True)
    order = torch.cat([order[floors[order]], order[~floors[order]]])
    stays = torch.zeros_like(floors).index_fill(0, order[:keep], True)
    parts = torch.split(stays, [len(score) for score in scores.values()])
    return {
        name: part.nonzero().flatten().tolist() for name, part in zip(scores, parts, strict=True)
    }


def _ranks(score: Float[Tensor, "channel"]) -> Tensor:
    """Place of each channel in its group, 0 for the best; of equal ones the lower index leads."""
    return score.argsort(descending=True, stable=True).argsort()


def _scales(model: nn.Module) -> list[Tensor]:
    """Every scale that is penalised and scored."""
    return [norm.weight for norms in cast("Model", model).norms().values() for norm in norms]
