"""DiSparse dynamic: masks that move while the network trains, and grow where any task wants it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from mtljobs.contracts import WEIGHT_MASK, Step
from mtljobs.pruning.masks import all_convolutions, set_mask
from mtljobs.pruning.task_scores import (
    agreement,
    overlap,
    places,
    scoring,
    task_gradients,
)


class GrowingMasks:
    """Drops the smallest weights every few steps, and grows as many as were dropped for each task.

    Before it trains, every convolution keeps a random part of its weights, as dense as
    `erk_densities` says. An update drops a fraction of what a layer may keep, and what it has too
    much; then each task that uses the layer chooses as many weights to grow among those that are
    gone, by the size of its own gradient there. All choices are granted, so that a shared layer is
    denser until the next update. The last update only drops, and leaves each layer its density.

    Args:
        model: Given its first masks here, from torch's global generator on the CPU.
        sparsity: Share of the weights of all convolutions that is gone in the end.
        update_every: Iterations between updates, the first at iteration 0.
        end: Iteration of the last update.
        drop_fraction: At iteration 0; falls to 0 at the end by half a cosine.
        erk_power: See `erk_densities`.
        dropout: Draw it where gradients for growing are computed.

    Source:
        Sun et al. (arXiv:2206.04662), appendix, and Evci et al., Rigging the Lottery
        (arXiv:1911.11134). Departures: weights that are gone are exactly 0, so that the gradients
        that growth is chosen by are the same with masks and without; a grown weight starts at 0,
        but one that was dropped in the same update stays as it was. Its moments in the optimiser
        are what is left of its earlier life. Gradients for growing are of the whole batch, not
        added up in two halves.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        sparsity: float,
        update_every: int,
        end: int,
        drop_fraction: float,
        erk_power: float,
        dropout: bool,
    ) -> None:
        self.update_every = update_every
        self.end = end
        self.drop_fraction = drop_fraction
        self.dropout = dropout
        convolutions = all_convolutions(model)
        densities = erk_densities(
            {name: tuple(conv.weight.shape) for name, conv in convolutions.items()},
            density=1 - sparsity,
            power=erk_power,
        )
        # A layer without a weight would never grow one, and cut the network in two.
        self.keep = {
            name: max(1, round(densities[name] * conv.weight.numel()))
            for name, conv in convolutions.items()
        }
        self.chosen = dict.fromkeys(convolutions, (0, 0))  # by all tasks, by any task
        for name, convolution in convolutions.items():
            set_mask(convolution, _random_mask(convolution.weight, self.keep[name]))

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Move the masks where an update is due; the optimiser then moves the new weights."""
        now = step.iteration
        if now == self.end:
            self._update(model, growth={}, fraction=0.0)
        elif now < self.end and now % self.update_every == 0:
            growth = self._growth(model, step)
            fraction = self.drop_fraction * (1 + math.cos(math.pi * now / self.end)) / 2
            self._update(model, growth=growth, fraction=fraction)

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Nothing: the network's mask keeper holds what is gone at zero."""

    def state_dict(self) -> dict[str, Any]:
        """How often the tasks chose alike; the masks themselves are buffers of the network."""
        return {"chosen": self.chosen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.chosen = dict(state["chosen"])

    def _growth(self, model: nn.Module, step: Step) -> dict[str, list[Tensor]]:
        """|gradient| of every layer's weights, for each task that uses the layer."""
        sums: dict[str, dict[str, Tensor]] = {}
        with scoring(model, dropout=self.dropout):
            for losses in step.losses():
                for task, gradients in task_gradients(model, losses):
                    for name, gradient in gradients.items():
                        of_tasks = sums.setdefault(name, {})
                        of_tasks[task] = of_tasks[task] + gradient if task in of_tasks else gradient
        return {name: [total.abs() for total in of.values()] for name, of in sums.items()}

    def _update(
        self, model: nn.Module, *, growth: Mapping[str, list[Tensor]], fraction: float
    ) -> None:
        """Drop and grow in every layer.

        Args:
            growth: Scores of the weights per task that uses the layer; none: drop only.
            fraction: Of what a layer may keep, that goes and may come back.
        """
        for name, convolution in all_convolutions(model).items():
            moving = int(fraction * self.keep[name])
            active = convolution.get_buffer(WEIGHT_MASK)
            stays = _best(convolution.weight.detach().abs(), self.keep[name] - moving, among=active)
            grown = [_best(score, moving, among=~stays) for score in growth.get(name, [])]
            by_all, by_any = map(sum, zip(self.chosen[name], overlap(grown), strict=True))
            self.chosen[name] = (by_all, by_any)
            kept = torch.stack([stays, *grown]).any(dim=0)
            set_mask(convolution, kept, agreement=agreement(by_all, by_any))


def erk_densities(
    shapes: Mapping[str, tuple[int, ...]], *, density: float, power: float
) -> dict[str, float]:
    """Share of its weights that each layer keeps: the larger the layer, the smaller.

    Proportional to (sum of the weight's edges / their product) ** power, but 1 at most, with the
    factor that makes the layers keep `density` of all weights together.

    Args:
        shapes: Of each convolution's weight: (out, in, rows, columns).
        density: In (0, 1].
        power: 0: all layers alike; 1: as in RigL.

    Source:
        Evci et al. (arXiv:1911.11134), section 3; the power is of DiSparse's released code.

    Example:
        >>> erk_densities({"a": (2, 2, 1, 1), "b": (4, 4, 1, 1)}, density=0.5, power=1)
        {'a': 0.9375, 'b': 0.390625}
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: (sum(shape) / sizes[name]) ** power for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        thin = [name for name in shapes if name not in dense]
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        factor = wanted / sum(raw[name] * sizes[name] for name in thin) if thin else 0.0
        # What a full layer cannot take falls to the others, which may fill some of these.
        full = {name for name in thin if factor * raw[name] > 1}
        if not full:
            return {name: 1.0 if name in dense else factor * raw[name] for name in shapes}
        dense |= full


def _best(score: Tensor, count: int, *, among: Bool[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """The weights of the `count` highest scores, which are >= 0, among some."""
    [place] = places([score.masked_fill(~among, -1.0)])
    return place <= count


def _random_mask(weight: Tensor, count: int) -> Bool[Tensor, "..."]:
    """A mask that keeps `count` of a layer's weights."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.randperm(weight.numel())[:count]] = True
    return mask.view(weight.shape)
