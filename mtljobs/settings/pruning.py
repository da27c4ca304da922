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
        widths = [group.width for group in groups if group.normalised]
        channels, kept = sum(widths), sum(min(self.floor, width) for width in widths)
        return Reach((channels - kept) * 10_000 // channels / 10_000)


@dataclass(**DECLARED)
class DiSparse:
    """DiSparse: mask single weights, those that every task which uses them can do without.

    Sparsity is the share of the weights of all convolutions, shared and of branches, that is gone.
    Biases and batch norms stay.

    Attributes:
        variant: "static" cuts an initialisation and trains what is left, "pretrained" cuts a
            trained network and tunes it, "dynamic" moves the masks while it trains.
        score: What a weight w with the gradient g of a task's loss is worth to the task in a cut:
            "sensitivity" |w g|; "magnitude" |w|, as the released code does for pretrained networks
            on NYUv2 and Cityscapes; "squared" w^2 |g|, as it does on Taskonomy.
        scored_weights: "own" scores the weights that stay; "xavier" those of a copy that is
            initialised anew, Xavier-normal, as the released code does before training.
        keep_ratio: Share of the weights it uses that each task keeps in a cut. "bisected" finds
            the one that leads to the sparsity, as a shared weight stays if any task keeps it;
            "nominal" is 1 - sparsity, where the released code has no other number; a number in
            (0, 1] is one found by hand. The last two end less sparse than asked for, or more.
        dropout: Draw dropout while scoring a cut, or a growth, as the released code does.
        batches: Training batches that a cut is scored on, or as many as the training split fills;
            the study used 30.
        batch: Images in each of them.
        tune_iterations: Length of the tuning of a pretrained network.
        tune_learning_rate: Of that tuning.
        update_every: Iterations between two moves of the masks.
        drop_fraction: Of a layer's weights, that an update drops and each of the layer's tasks
            may grow back elsewhere; at the beginning, falling to 0 by half a cosine.
        update_until: Share of the training after which the masks stay as they are.
        erk_power: How much denser small layers are than large ones: 0 not at all; 1 as in RigL.

    Source: Sun et al., DiSparse: Disentangled Sparsification for Multitask Model Compression
        (arXiv:2206.04662).
    """

    implementation: ClassVar[str] = "mtljobs.pruning.disparse:DiSparse"
    version: ClassVar[int] = 1

    name: Literal["disparse"]
    variant: Literal["static", "pretrained", "dynamic"] = "static"
    score: Literal["sensitivity", "magnitude", "squared"] = "sensitivity"
    scored_weights: Literal["own", "xavier"] = "own"
    keep_ratio: Literal["bisected", "nominal"] | Annotated[float, Field(gt=0, le=1)] = "bisected"
    dropout: bool = False
    batches: Annotated[int, Field(ge=1)] = 50
    batch: Annotated[int, Field(ge=1)] = 16
    tune_iterations: Annotated[int, Field(ge=1)] = 1000
    tune_learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    update_every: Annotated[int, Field(ge=1)] = 50
    drop_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    update_until: Annotated[float, Field(ge=0, lt=1)] = 0.75
    erk_power: Annotated[float, Field(ge=0)] = 0.9

    def recipe(self, sparsity: float) -> tuple[Phase, ...]:
        """The phases that lead to a sparsity."""
        train = Phase(kind="train")
        if sparsity == 0.0:
            return (train,)
        if self.variant == "dynamic":
            moving = canonical(self._with_defaults_but(*_MOVING))
            return (Phase(kind="train", method=moving, sparsity=sparsity),)
        cut = Phase(
            kind="cut", method=canonical(self._with_defaults_but(*_CUTTING)), sparsity=sparsity
        )
        if self.variant == "static":
            return (cut, train)
        tune = Phase(
            kind="tune", iterations=self.tune_iterations, learning_rate=self.tune_learning_rate
        )
        return (train, cut, tune)

    def reachable(self, groups: Sequence[ChannelGroup]) -> Reach:
        """The sparsities that a network can take: any below 1, of a grid's four digits."""
        del groups  # any weight may go
        return Reach(0.9999)

    def _with_defaults_but(self, *fields: str) -> DiSparse:
        """The settings that a phase depends on; the rest stands at its default."""
        return DiSparse(name="disparse", **{field: getattr(self, field) for field in fields})


_CUTTING = ("score", "scored_weights", "keep_ratio", "dropout", "batches", "batch")
"""Fields of DiSparse that its cuts depend on."""

_MOVING = ("variant", "dropout", "update_every", "drop_fraction", "update_until", "erk_power")
"""Fields of DiSparse that a training with moving masks depends on."""


HALVINGS = {round(1 - 2.0**-k, 4): k for k in range(1, 14)}
"""Sparsity, of four digits as in a grid, -> how often the filters are halved to get there."""


@dataclass(**DECLARED)
class HRank:
    """HRank: halve the filters of every group, those of the lowest ranks go, tune; again and again.

    Sparsity 1 - 2^-k takes k cuts with a tuning behind each: 0.5, 0.75, 0.875, 0.9375, then, in a
    grid's four digits, 0.9688, 0.9844, ... A group of odd width keeps the larger half.

    Attributes:
        images: Training images whose feature maps are ranked before each cut, or as many as fill
            whole batches of 8 where the training split has fewer.
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


PruningChoice = Annotated[NetSlim | DiSparse | HRank, Field(discriminator="name")]
