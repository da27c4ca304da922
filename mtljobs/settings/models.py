"""Networks. Context of `build`: `channels` (output channels per task), `widths` (or None)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import ChannelGroup
from mtljobs.settings.base import DECLARED


@dataclass(**DECLARED)
class SegNetMTAN:
    """SegNet with a soft attention branch per task.

    Attributes:
        width: Factor on every channel count, in (0, 1]; 1 is the published network, 1/16 a demo.

    Source: Liu et al., End-to-End Multi-Task Learning with Attention (arXiv:1803.10704).
    """

    implementation: ClassVar[str] = "mtljobs.models.segnet_mtan:SegNetMTAN"
    version: ClassVar[int] = 1
    size_multiple: ClassVar[int] = 32
    layers: ClassVar[dict[str, str]] = {
        "last_shared": "conv_block_dec.0",
        "bottleneck": "conv_block_enc.4",
    }

    name: Literal["segnet_mtan"]
    width: Annotated[float, Field(gt=0, le=1)] = 1.0

    def channel_groups(self, tasks: tuple[str, ...]) -> tuple[ChannelGroup, ...]:
        """The prunable channel groups, in forward order; the heads keep their width."""
        raise NotImplementedError

    def convolutions(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Names of all convolutions, in the order of the module."""
        raise NotImplementedError

    def stride(self, layer: str) -> int:
        """Image pixels per position of an explained layer, along rows and columns alike."""
        raise NotImplementedError


ModelChoice = SegNetMTAN
