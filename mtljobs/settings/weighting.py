"""How task losses are balanced. Context of `build`: `tasks` (names, in order)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Equal:
    """The plain sum of the task losses."""

    implementation: ClassVar[str] = "mtljobs.weighting.equal:Equal"
    version: ClassVar[int] = 1

    name: Literal["equal"]


@dataclass(**DECLARED)
class Fixed:
    """A weighted sum of the task losses, with weights that never change.

    Attributes:
        weights: Task name -> factor on its loss, > 0; every task of the experiment, and no other.
    """

    implementation: ClassVar[str] = "mtljobs.weighting.fixed:Fixed"
    version: ClassVar[int] = 1

    name: Literal["fixed"]
    weights: dict[str, Annotated[float, Field(gt=0)]]


@dataclass(**DECLARED)
class FAMO:
    """Tasks whose losses have fallen least gain weight, at one more forward pass a step.

    Attributes:
        learning_rate: Of the Adam that learns the logits of the weights.
        weight_decay: L2 penalty on the logits, which draws the weights towards each other.
        epsilon: Added to a loss before its logarithm is taken.

    Source: Liu et al., FAMO: Fast Adaptive Multitask Optimization (arXiv:2306.03792), with the
        learning rate of the paper and the weight decay of its algorithm 2. The authors' scripts
        run NYUv2 with the same, Cityscapes with a weight decay of 0.01.
    """

    implementation: ClassVar[str] = "mtljobs.weighting.famo:FAMO"
    version: ClassVar[int] = 1

    name: Literal["famo"]
    learning_rate: Annotated[float, Field(gt=0)] = 0.025
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    epsilon: Annotated[float, Field(gt=0)] = 1e-8


@dataclass(**DECLARED)
class Uncertainty:
    """Each loss is divided by twice a variance that is learned with the network.

    Attributes:
        log_variance: That every task starts with; 0 weighs each loss by 1/2.

    Source: Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses
        (arXiv:1705.07115).
    """

    implementation: ClassVar[str] = "mtljobs.weighting.uncertainty:Uncertainty"
    version: ClassVar[int] = 1

    name: Literal["uncertainty"]
    log_variance: float = 0.0


@dataclass(**DECLARED)
class DWA:
    """Dynamic Weight Average: tasks whose loss fell least from epoch to epoch weigh most.

    Attributes:
        temperature: The higher, the more equal the weights are.

    Source: Liu et al., End-to-End Multi-Task Learning with Attention (arXiv:1803.10704), § 3.3.
    """

    implementation: ClassVar[str] = "mtljobs.weighting.dwa:DWA"
    version: ClassVar[int] = 1

    name: Literal["dwa"]
    temperature: Annotated[float, Field(gt=0)] = 2.0


WeightingChoice = Annotated[Equal | Fixed | FAMO | Uncertainty | DWA, Field(discriminator="name")]
