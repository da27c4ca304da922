"""How a network learns: length, optimiser, schedule, augmentation, number format, validation.

Context of `build`: `model`, `tasks` (name -> Task), `weighting`, `hooks`, `dataset`, `validation`
(a Dataset, maybe empty), `depth_unit`, `seed`.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED

ONE_LENGTH = ConfigDict(
    **DECLARED["config"],
    json_schema_extra={"oneOf": [{"required": ["iterations"]}, {"required": ["epochs"]}]},
)


@dataclass(frozen=True, kw_only=True, config=ONE_LENGTH)
class Training:
    """Length and step sizes of a train or tune phase.

    Attributes:
        iterations: Optimiser steps of a train phase; this or `epochs`.
        epochs: Passes over the training images instead, of whole batches; a plan turns them into
            iterations.
        batch: Images per step; an epoch's last, smaller batch is left out.
        accumulate: Equal parts that a batch is taken in where memory is short. Gradients are
            those of the mean of the parts' losses: those of the whole batch, except that batch
            norm sees the parts, and that each part counts the same however many of its pixels
            are valid.
        optimiser: "adam" is Kingma & Ba (arXiv:1412.6980) with torch's defaults.
        learning_rate: At iteration 0.
        weight_decay: L2 penalty inside the optimiser.
        decay_every: Iterations, or epochs where the length is in epochs, after which the learning
            rate is multiplied by `decay_factor`, again and again; None: never.
        decay_factor: In (0, 1].
        scales: Zooms to draw from for each sample; 1 is the whole image. MTAN's are
            [1.0, 1.2, 1.5].
        zoom: What a zoom does to targets. "mtan": as the released code, for comparison, which
            divides disparities though they grow, and leaves normals short between different or
            invalid ones. "exact": disparities are multiplied, normals have length 1, invalid
            pixels stay invalid, labels and depths lie where the image's pixels do.
        flip: Mirror half of the images left to right, with all their targets.
        autocast: Number format of the forward pass; losses, weights and optimiser stay in
            float32. "float16" scales the loss, and leaves out a step whose gradients overflow.
        channels_last: Keep images and weights with channels as the innermost axis, which suits a
            GPU's tensor cores under `autocast`.
        validate_every: Iterations, or epochs where the length is in epochs, between measurements
            of the validation split; the end is always measured. None: never.
        keep: "last" or "best" weights; the best have the lowest sum of task losses on the
            validation split. Neither is ever selected on the test split.
    """

    implementation: ClassVar[str] = "mtljobs.training.loop:Trainer"
    version: ClassVar[int] = 1

    iterations: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)] = 8
    accumulate: Annotated[int, Field(ge=1)] = 1
    optimiser: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_every: Annotated[int, Field(ge=1)] | None = None
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    scales: Annotated[tuple[Annotated[float, Field(ge=1, le=4)], ...], Field(min_length=1)] = (1.0,)
    zoom: Literal["mtan", "exact"] = "mtan"
    flip: bool = False
    autocast: Literal["off", "bfloat16", "float16"] = "off"
    channels_last: bool = False
    validate_every: Annotated[int, Field(ge=1)] | None = None
    keep: Literal["last", "best"] = "last"

    @model_validator(mode="after")
    def _fits_together(self) -> Training:
        if (self.iterations is None) == (self.epochs is None):
            given = "neither" if self.iterations is None else "both"
            raise ValueError(f"give iterations or epochs, received {given}")
        if self.batch % self.accumulate:
            raise ValueError(
                f"a batch of {self.batch} has no {self.accumulate} equal parts: make batch a "
                "multiple of accumulate"
            )
        if self.keep == "best" and self.validate_every is None:
            raise ValueError('keep = "best" needs validate_every, to measure what is best')
        return self

    def over(self, images: int) -> Training:
        """The same training with every length in iterations.

        Args:
            images: Of the training split.

        Example:
            >>> short = Training(epochs=200, decay_every=100, batch=2).over(795)
            >>> short.iterations, short.decay_every, short.epochs
            (79400, 39700, None)
        """
        if self.epochs is None:
            return self
        per_epoch = images // self.batch
        return dataclasses.replace(
            self,
            iterations=self.epochs * per_epoch,
            epochs=None,
            decay_every=self.decay_every and self.decay_every * per_epoch,
            validate_every=self.validate_every and self.validate_every * per_epoch,
        )
