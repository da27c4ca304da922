"""Pruning methods and their recipes. Context of `build`: none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import ChannelGroup, Phase
from mtljobs.errors import GridError
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
        channels = sum(group.width for group in groups)
        kept = sum(min(self.floor, group.width) for group in groups)
        return Reach((channels - kept) * 10_000 // channels / 10_000)


HALVINGS = {round(1 - 2.0**-k, 4): k for k in range(1, 14)}
"""Sparsity, of four digits as in a grid, -> how often the filters are halved to get there."""


@dataclass(**DECLARED)
class HRank:
    """HRank: halve the filters of every group, those of the lowest ranks go, tune; again and again.

    Sparsity 1 - 2^-k takes k cuts with a tuning behind each: 0.5, 0.75, 0.875, 0.9375, then, in a
    grid's four digits, 0.9688, 0.9844, ... A group of odd width keeps the larger half.

    Attributes:
        images: Training images whose feature maps are ranked before each cut, or as many as the
            training split has.
        tied_score: Score of a filter in a group of several convolutions: "mean" of its ranks in
            all of them, each as a fraction of the highest possible, or that in the "first" alone,
            which in SegNet-MTAN is the encoder's.
        map_side_max: Feature maps with more rows or columns are averaged over areas to this many
            before they are ranked, to save time; None: never.
        floor: Channels that every group keeps: sparsities that leave fewer are out of reach.
        tune_iterations: Length of each tuning; None: as long as the training.

    Source: Lin et al., HRank: Filter Pruning using High-Rank Feature Map (arXiv:2002.10179).
    """

    implementation: ClassVar[str] = "mtljobs.pruning.hrank:HRank"
    version: ClassVar[int] = 1

    name: Literal["hrank"]
    images: Annotated[int, Field(ge=1)] = 500
    tied_score: Literal["mean", "first"] = "mean"
    map_side_max: Annotated[int, Field(ge=1)] | None = None
    floor: Annotated[int, Field(ge=1)] = 1
    tune_iterations: Annotated[int, Field(ge=1)] | None = None

    def recipe(self, sparsity: float) -> tuple[Phase, ...]:
        """The phases that lead to a sparsity; those of a lower one are their beginning."""
        # What a cut does not depend on stands at its default, and a training depends on nothing.
        method = canonical(replace(self, floor=1, tune_iterations=None))
        phases = [Phase(kind="train")]
        for step in list(HALVINGS)[: halvings(sparsity)]:
            phases.append(Phase(kind="cut", method=method, sparsity=step))
            phases.append(Phase(kind="tune", iterations=self.tune_iterations))
        return tuple(phases)

    def reachable(self, groups: Sequence[ChannelGroup]) -> Reach:
        """The sparsities at which every group has been halved whole and has its floor."""
        narrowest = min(group.width for group in groups)
        steps = tuple(step for step, k in HALVINGS.items() if narrowest >= self.floor << k)
        return Reach(max(steps, default=0.0), steps)


def halvings(sparsity: float) -> int:
    """How often all filters are halved to reach a sparsity; 0 at 0.

    Raises:
        GridError: No number of halvings leads there.

    Example:
        >>> halvings(0.0), halvings(0.5), halvings(0.9375)
        (0, 1, 4)
    """
    if sparsity == 0.0:
        return 0
    if sparsity not in HALVINGS:
        steps = ", ".join(f"{step:g}" for step in HALVINGS)
        raise GridError(
            f"halving all filters again and again does not lead to a sparsity of {sparsity:g}; it "
            f"leads to {steps}"
        )
    return HALVINGS[sparsity]


PruningChoice = Annotated[NetSlim | HRank, Field(discriminator="name")]
