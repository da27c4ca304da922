"""How numbers are computed, as far as results depend on it: part of every identity."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Numerics:
    """Settings that change rounding, and with it bits.

    Attributes:
        threads: Of torch and of the libraries below it.
        precision: "float32" is exact: TF32 off.
        deterministic: Refuse torch's algorithms that depend on timing.
        irof_batch: Perturbed images per forward pass of an explanation; "auto" is a table over
            image size and width, never a function of the machine.
    """

    version: ClassVar[int] = 1

    threads: Annotated[int, Field(ge=1)] = 1
    precision: Literal["float32"] = "float32"
    deterministic: bool = True
    irof_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"

    def resolved_irof_batch(self, size: tuple[int, int], width: float) -> int:
        """Images per forward pass: "auto" is 2**20 pixels at full width, in 16 to 64 images."""
        if self.irof_batch != "auto":
            return self.irof_batch
        fitting = math.log2(2**20 / (size[0] * size[1] * width))
        return int(2 ** max(4, min(6, round(fitting))))
