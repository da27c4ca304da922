"""Networks. Context of `build`: `channels` (output channels per task), `widths` (or None)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from difflib import get_close_matches
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import ChannelGroup
from mtljobs.errors import GridError
from mtljobs.settings.base import DECLARED, PLACE


@dataclass(**DECLARED)
class WeightsFile:
    """Initial weights that a user brings: what they are, and where they lie.

    Attributes:
        file: Path of a `.safetensors`, or of a `.pth` or `.pt` that holds a state dict; only where
            to look, and no part of any identity.
        sha256: Of the file, 64 hex digits, as `sha256sum` prints it.
    """

    file: str = field(default="", metadata=PLACE)
    sha256: Annotated[str, Field(pattern="^[0-9a-f]*$", min_length=64, max_length=64)]


@dataclass(**DECLARED)
class SegNetMTAN:
    """SegNet with a soft attention branch per task.

    Channel groups, with s the stage from 1 (image resolution) to 5 (bottleneck):

        stage<s>            output of encoder stage s and, because max-unpooling reuses the
                            encoder's indices channel by channel, of decoder stage s + 1, with
                            every gate that multiplies one of them; stage0 is the last shared
                            output, of decoder stage 1 alone
        encoder<s>.a  .m    first and middle convolution of an encoder stage; likewise decoder<s>
        encoder<s>.shared   attention block that the tasks share; likewise decoder<s>
        encoder<s>.<task>   inside of a task's gate; likewise decoder<s>

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
        """The prunable channel groups, in the order of the module; the heads keep their width."""
        members: dict[str, list[_Row]] = {}
        for row in _segnet_mtan(tasks):
            if row.group is not None:
                members.setdefault(row.group, []).append(row)
        return tuple(
            ChannelGroup(
                name=group,
                width=self.scaled(rows[0].channels),
                producers=tuple(row.conv for row in rows if not row.follows),
                followers=tuple(row.conv for row in rows if row.follows),
            )
            for group, rows in members.items()
        )

    def convolutions(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Names of all convolutions, in the order of the module."""
        return tuple(row.conv for row in _segnet_mtan(tasks))

    def scaled(self, channels: int) -> int:
        """Channels of the published network, at this width."""
        return max(1, round(channels * self.width))

    def layer_size(self, layer: str, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of an explained layer for images of a size that the model takes.

        Raises:
            GridError: The layer is none of the blocks that the tasks share.
        """
        parts = ("encoder_block", "conv_block_enc", "decoder_block", "conv_block_dec")
        strides = {f"{part}.{k}": 1 << k for part in parts for k in range(5)}
        if layer in strides:
            return size[0] // strides[layer], size[1] // strides[layer]
        near = get_close_matches(layer, [*self.layers, *strides], n=3, cutoff=0.4)
        raise GridError(
            f"segnet_mtan has no layer {layer!r} to explain"
            + (f"; nearest: {', '.join(near)}" if near else "")
            + f". Valid are {', '.join(self.layers)}, and {', '.join(parts)} followed by .0 "
            "(image resolution) to .4 (bottleneck)."
        )


class _Row(NamedTuple):
    """One convolution, its channel group if it has one, and that group's channels at width 1."""

    conv: str
    group: str | None = None
    channels: int = 0
    follows: bool = False


_STAGES = range(1, 6)
_CHANNELS = (64, 64, 128, 256, 512, 512, 512)
"""Of stage 0, the last shared output, to stage 5, and of what leaves stage 5."""


def _segnet_mtan(tasks: tuple[str, ...]) -> Iterator[_Row]:
    """Every convolution of SegNet-MTAN, in the order of the module."""
    yield from _stages("encoder", "conv_block_enc")
    yield from _stages("decoder", "conv_block_dec")
    for s in _STAGES:
        yield _Row(f"encoder_block_att.{s - 1}.conv", f"encoder{s}.shared", _CHANNELS[s + 1])
    for s in _STAGES:
        yield _Row(f"decoder_block_att.{s - 1}.conv", f"decoder{s}.shared", _CHANNELS[s - 1])
    for task in tasks:
        yield from _gates("encoder", task)
        yield from _gates("decoder", task)
        yield _Row(f"branches.{task}.head.hidden")
        yield _Row(f"branches.{task}.head.output")


def _stages(side: str, rest: str) -> Iterator[_Row]:
    """The shared convolutions of one side: the first of each stage, then the rest of each."""
    for s in _STAGES:
        yield _Row(f"{side}_block.{s - 1}.conv", f"{side}{s}.a", _CHANNELS[_output(side, s)])
    for s in _STAGES:
        out = _output(side, s)
        names = [f"stage{out}"] if s < 3 else [f"{side}{s}.m", f"stage{out}"]
        for k, name in enumerate(names):
            yield _Row(f"{rest}.{s - 1}.{k}.conv", name, _CHANNELS[out])


def _gates(side: str, task: str) -> Iterator[_Row]:
    """The two convolutions of each of a task's gates on one side."""
    for s in _STAGES:
        out = _output(side, s)
        gate = f"branches.{task}.{side}_gates.{s - 1}"
        yield _Row(f"{gate}.inner.conv", f"{side}{s}.{task}", _CHANNELS[out])
        yield _Row(f"{gate}.outer.conv", f"stage{out}", _CHANNELS[out], follows=True)


def _output(side: str, stage: int) -> int:
    """Number of the tied group that a stage's output belongs to."""
    return stage if side == "encoder" else stage - 1


ModelChoice = SegNetMTAN
