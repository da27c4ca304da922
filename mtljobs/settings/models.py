"""Networks. Context of `build`: `channels` (output channels per task), `widths` (or None)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from difflib import get_close_matches
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from mtljobs.contracts import ChannelGroup
from mtljobs.errors import GridError
from mtljobs.settings.base import DECLARED, EXPLAINS, PLACE


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
        pool_ties: Where max-unpooling puts the maximum of a window whose values are equal but for
            rounding, as where an image is filled with one value. "torch": where rounding has it,
            so that batch size, library and thread count decide; "first": at the first value
            within 1e-4 of the maximum. Training is always torch's, so networks are shared.

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
    pool_ties: Literal["torch", "first"] = field(default="torch", metadata=EXPLAINS)

    def channel_groups(self, tasks: tuple[str, ...]) -> tuple[ChannelGroup, ...]:
        """The prunable channel groups, in the order of the module; the heads keep their width."""
        return _channel_groups(_segnet_mtan(tasks), self.width)

    def convolutions(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Names of all convolutions, in the order of the module."""
        return tuple(row.conv for row in _segnet_mtan(tasks))

    def scaled(self, channels: int) -> int:
        """Channels of the published network, at this width."""
        return _scaled(channels, self.width)

    def layer_size(self, layer: str, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of an explained layer for images of a size that the model takes.

        Raises:
            GridError: The layer is none of the blocks that the tasks share.
        """
        parts = ("encoder_block", "conv_block_enc", "decoder_block", "conv_block_dec")
        strides = {f"{part}.{k}": 1 << k for part in parts for k in range(5)}
        if layer in strides:
            return size[0] // strides[layer], size[1] // strides[layer]
        valid = f"{', '.join(parts)} followed by .0 (image resolution) to .4 (bottleneck)"
        raise _unknown_layer(self, layer, strides, valid)


@dataclass(**DECLARED)
class DeepLabResNet:
    """DeepLab: a ResNet-34 of output stride 8, and four dilated branches per task, added up.

    Predictions are at an eighth of the image's resolution: 41 x 41 for 321 x 321. Channel groups,
    with s the stage from 1 to 4 and k the block in it:

        stage<s>                  residual stream of a stage: the second convolution of every
                                  block, and the shortcut; in stage 1 the stem's convolution
        stage<s>.<k>              inside of a block
        <task>.rate<r>.first      hidden convolutions of a task's branch, followed by no batch
        <task>.rate<r>.second     norm

    Attributes:
        width: Factor on every channel count, in (0, 1]; 1 is the published network, 1/16 a demo.
        backbone: Weights of torchvision's `resnet34` to start the backbone from, width 1 alone;
            None: random, as published.
        input_scaling: What the network does to images first. "centred": 0 to 255 less a mean per
            channel, as published; "standardised": less a mean and divided by a deviation, as
            torchvision's weights expect; None: "standardised" where `backbone` is given, else
            "centred".

    Source: Sun et al., DiSparse (arXiv:2206.04662), whose network is that of Sun et al., AdaShare
        (arXiv:1911.12423), without its policies; Chen et al., DeepLab (arXiv:1606.00915).
    """

    implementation: ClassVar[str] = "mtljobs.models.deeplab_resnet:DeepLabResNet"
    version: ClassVar[int] = 1
    size_multiple: ClassVar[int] = 1
    layers: ClassVar[dict[str, str]] = {
        "last_shared": "backbone.layer4.2.conv2",
        "bottleneck": "backbone.layer4",
    }
    blocks: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    rates: ClassVar[tuple[int, ...]] = (6, 12, 18, 24)

    name: Literal["deeplab_resnet"]
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    backbone: WeightsFile | None = None
    input_scaling: Literal["centred", "standardised"] | None = None

    @model_validator(mode="after")
    def _backbone_fits(self) -> DeepLabResNet:
        if self.backbone is not None and self.width != 1:
            raise ValueError(
                "backbone brings torchvision's resnet34, which has one width: leave backbone away, "
                f"or make width 1; received {self.width:g}"
            )
        return self

    def channel_groups(self, tasks: tuple[str, ...]) -> tuple[ChannelGroup, ...]:
        """The prunable channel groups, in the order of the module; outputs keep their width."""
        return _channel_groups(_deeplab_resnet(tasks), self.width)

    def convolutions(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Names of all convolutions, in the order of the module."""
        return tuple(row.conv for row in _deeplab_resnet(tasks))

    def layer_size(self, layer: str, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of an explained layer for images of a size.

        Raises:
            GridError: The layer is no stage, block or 3 x 3 convolution of the backbone.
        """
        stages = {
            f"backbone.layer{s}{block}{conv}": s
            for s, count in enumerate(self.blocks, start=1)
            for block in ("", *(f".{k}" for k in range(count)))
            for conv in (("", ".conv1", ".conv2") if block else ("",))
        }
        if layer in stages:
            rows, columns = (_after_stage(stages[layer], edge) for edge in size)
            return rows, columns
        valid = "backbone.layer1 to .layer4, their blocks (.0 ...), and .conv1 and .conv2 of these"
        raise _unknown_layer(self, layer, stages, valid)


class _Row(NamedTuple):
    """One convolution, its channel group if it has one, and that group's channels at width 1."""

    conv: str
    group: str | None = None
    channels: int = 0
    follows: bool = False
    normalised: bool = True


def _channel_groups(rows: Iterator[_Row], width: float) -> tuple[ChannelGroup, ...]:
    """The groups that a network's convolutions name, in the order of their first members."""
    members: dict[str, list[_Row]] = {}
    for row in rows:
        if row.group is not None:
            members.setdefault(row.group, []).append(row)
    return tuple(
        ChannelGroup(
            name=group,
            width=_scaled(tied[0].channels, width),
            producers=tuple(row.conv for row in tied if not row.follows),
            followers=tuple(row.conv for row in tied if row.follows),
            normalised=all(row.normalised for row in tied),
        )
        for group, tied in members.items()
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _unknown_layer(
    choice: SegNetMTAN | DeepLabResNet, layer: str, known: Iterable[str], valid: str
) -> GridError:
    near = get_close_matches(layer, [*choice.layers, *known], n=3, cutoff=0.4)
    return GridError(
        f"{choice.name} has no layer {layer!r} to explain"
        + (f"; nearest: {', '.join(near)}" if near else "")
        + f". Valid are {', '.join(choice.layers)}, and {valid}."
    )


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


def _deeplab_resnet(tasks: tuple[str, ...]) -> Iterator[_Row]:
    """Every convolution of DeepLab, in the order of the module."""
    yield _Row("backbone.conv1", "stage1", 64)
    for s, count in enumerate(DeepLabResNet.blocks, start=1):
        channels = 64 << (s - 1)
        for k in range(count):
            block = f"backbone.layer{s}.{k}"
            yield _Row(f"{block}.conv1", f"stage{s}.{k}", channels)
            yield _Row(f"{block}.conv2", f"stage{s}", channels)
            if s > 1 and k == 0:
                yield _Row(f"{block}.downsample.0", f"stage{s}", channels)
    for task in tasks:
        for rate in DeepLabResNet.rates:
            for conv in ("first", "second"):
                group = f"{task}.rate{rate}.{conv}"
                yield _Row(f"branches.{group}", group, 1024, normalised=False)
            yield _Row(f"branches.{task}.rate{rate}.output")


def _after_stage(stage: int, edge: int) -> int:
    """Rows, or columns, that a stage of the backbone leaves of an image's."""
    stem = (edge + 1) // 2
    pooled = stem // 2 + 1  # windows may begin inside and end outside: the pool rounds up
    return pooled if stage == 1 else (pooled + 1) // 2


ModelChoice = Annotated[SegNetMTAN | DeepLabResNet, Field(discriminator="name")]
