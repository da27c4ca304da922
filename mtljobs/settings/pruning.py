"""Pruning methods and their recipes. Context of `build`: none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import ChannelGroup, Phase
from mtljobs.settings.base import DECLARED, canonical


@dataclasses.dataclass(frozen=True)
class Reach:
    """The sparsities, besides 0, that a method can reach on a network; `in` tells, `str` names.

    Attributes:
        highest: The highest of them.
        steps: All of them where these are few, ascending; None: everything up to `highest`.

    Example:
        >>> 0.6 in Reach(0.9), 0.6 in Reach(0.75, steps=(0.5, 0.75))
        (True, False)
        >>> print(Reach(0.75, steps=(0.5, 0.75)))
        0.5, 0.75
    """

    highest: float
    steps: tuple[float, ...] | None = None

    def __contains__(self, sparsity: float) -> bool:
        return sparsity <= self.highest if self.steps is None else sparsity in self.steps

    def __str__(self) -> str:
        if self.steps is None:
            return f"0 to {self.highest:g}"
        return ", ".join(f"{step:g}" for step in self.steps) or "0 alone"


@dataclass(**DECLARED)
class NetSlim:
    """Network Slimming: train with an L1 penalty on BN scales, cut the weakest channels, tune.

    Attributes:
        penalty: Weight of the L1 penalty on the batch-norm scales of ReLU producers.
        penalty_form: "subgradient" adds penalty * sign(scale) to the gradient, as published, where
            Adam rescales it; "proximal" shrinks the scale by learning rate * penalty after a step.
        floor: Channels that every group keeps.
        tune_iterations: Length of the tuning; None: as long as the training.

    Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming
        (arXiv:1708.06519).
    """

    implementation: ClassVar[str] = "mtljobs.pruning.netslim:NetSlim"
    version: ClassVar[int] = 1

    name: Literal["netslim"]
    penalty: Annotated[float, Field(ge=0)] = 1e-4
    penalty_form: Literal["subgradient", "proximal"] = "subgradient"
    floor: Annotated[int, Field(ge=1)] = 1
    tune_iterations: Annotated[int, Field(ge=1)] | None = None

    def recipe(self, sparsity: float) -> tuple[Phase, ...]:
        """The phases that lead to a sparsity."""
        if sparsity == 0.0:
            return (Phase(kind="train"),)
        # A phase depends on a part of the settings; the rest stands at its default, so that
        # phases which differ in nothing that matters to them are one network.
        learning = NetSlim(name="netslim", penalty=self.penalty, penalty_form=self.penalty_form)
        cutting = replace(learning, floor=self.floor)
        return (
            Phase(kind="train", method=canonical(learning)),
            Phase(kind="cut", method=canonical(cutting), sparsity=sparsity),
            Phase(kind="tune", iterations=self.tune_iterations),
        )

    def reachable(self, groups: Sequence[ChannelGroup]) -> Reach:
        """The sparsities that a network with these groups can take.

        The highest leaves every group its floor. It is rounded down to four digits, as a grid's
        sparsities are, so that it may be asked for as it is printed.
        """
        widths = [group.width for group in groups if group.normalised]
        channels, kept = sum(widths), sum(min(self.floor, width) for width in widths)
        return Reach((channels - kept) * 10_000 // channels / 10_000)


PruningChoice = NetSlim
