"""What a weighting does besides weighing, where its weights follow from nothing but settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mtljobs.contracts import Step


class Memoryless:
    """The hooks of a weighting that learns nothing and remembers nothing."""

    def after_backward(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def after_step(self, model: nn.Module, step: Step) -> None:
        """Nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""
