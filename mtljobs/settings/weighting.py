"""How task losses are balanced. Context of `build`: `tasks` (names, in order)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class Equal:
    """The plain sum of the task losses."""

    implementation: ClassVar[str] = "mtljobs.weighting.equal:Equal"
    version: ClassVar[int] = 1

    name: Literal["equal"]


WeightingChoice = Equal
