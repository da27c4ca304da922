"""How a network learns: length, optimiser, schedule, augmentation.

Context of `build`: `model`, `tasks` (name -> Task), `weighting`, `hooks`, `dataset`, `seed`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Training:
    """Length and step sizes of a train or tune phase.

    Attributes:
        iterations: Optimiser steps of a train phase.
        batch: Images per step; an epoch's last, smaller batch is left out.
        optimiser: "adam" is Kingma & Ba (arXiv:1412.6980) with torch's defaults.
        learning_rate: At iteration 0.
        weight_decay: L2 penalty inside the optimiser.
        decay_every: Iterations after which the learning rate is multiplied by `decay_factor`,
            again and again; None: never.
        decay_factor: In (0, 1].
        flip: Mirror half of the images left to right, with all their targets.
    """

    implementation: ClassVar[str] = "mtljobs.training.loop:Trainer"
    version: ClassVar[int] = 1

    iterations: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)] = 8
    optimiser: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_every: Annotated[int, Field(ge=1)] | None = None
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    flip: bool = False
