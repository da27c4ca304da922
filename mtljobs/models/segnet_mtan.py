"""SegNet-MTAN: one encoder and decoder for all tasks, and each task's soft attention on both.

Module names are part of the checkpoint format. `encoder_block`, `conv_block_enc`, `decoder_block`
and `conv_block_dec` hold the shared network, index 0 at image resolution and index 4 at the
bottleneck; `encoder_block_att` and `decoder_block_att` the attention blocks that the tasks share;
`branches` what belongs to one task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.models.predictions import normalise_normals, require_branches
from mtljobs.models.resizing import enlarge, halve
from mtljobs.models.unpooling import FirstPool, TracedPool, TracedUnpool, Unpool
from mtljobs.models.widths import checked_widths, present_widths
from mtljobs.settings import models as settings

_STAGES = range(1, 6)


class ConvBlock(nn.Sequential):
    """Convolution that keeps the size, batch norm, activation; out of place, for hooks."""

    def __init__(self, ins: int, outs: int, *, kernel: int = 3, gates: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outs)
        self.activation = nn.Sigmoid() if gates else nn.ReLU()


class Gate(nn.Module):
    """A factor in (0, 1) for every value of a feature map, read off its context."""

    def __init__(self, context: int, inner: int, gated: int) -> None:
        super().__init__()
        self.inner = ConvBlock(context, inner, kernel=1)
        self.outer = ConvBlock(inner, gated, kernel=1, gates=True)

    def forward(self, context: Tensor, gated: Tensor) -> Tensor:
        """What the gate lets through."""
        return cast("Tensor", self.outer(self.inner(context))) * gated


class Level(NamedTuple):
    """What one stage of the shared network shows to the gates of every task."""

    context: Float[Tensor, "image channel row column"]
    gated: Float[Tensor, "image channel row column"]


class TaskBranch(nn.Module):
    """One task's gates along the shared network, down and up again, and its head.

    Args:
        widths: Channels per channel group.
        task: Which of the groups are this branch's own.
        hidden: Channels inside the head.
        channels: Channels of the prediction.
    """

    def __init__(self, widths: Mapping[str, int], *, task: str, hidden: int, channels: int) -> None:
        super().__init__()
        encoder, decoder = [], []
        for s in _STAGES:
            context = widths[f"encoder{s}.a"] + (widths[f"encoder{s - 1}.shared"] if s > 1 else 0)
            encoder.append(Gate(context, widths[f"encoder{s}.{task}"], widths[f"stage{s}"]))
            context = widths[f"stage{s}"] + widths[f"decoder{s}.shared"]
            decoder.append(Gate(context, widths[f"decoder{s}.{task}"], widths[f"stage{s - 1}"]))
        self.encoder_gates = nn.ModuleList(encoder)
        self.decoder_gates = nn.ModuleList(decoder)
        self.head = nn.Sequential()
        self.head.hidden = nn.Conv2d(widths["stage0"], hidden, 3, padding=1)
        self.head.output = nn.Conv2d(hidden, channels, 1)

    def forward(
        self,
        *,
        encoder: Sequence[Level],
        decoder: Sequence[Level],
        encoder_blocks: nn.ModuleList,
        decoder_blocks: nn.ModuleList,
    ) -> Float[Tensor, "image channel row column"]:
        """The task's prediction, from the levels of the shared network, stage 1 first."""
        carried: list[Tensor] = []  # nothing above stage 1
        for gate, block, level in zip(self.encoder_gates, encoder_blocks, encoder, strict=True):
            context = torch.cat([level.context, *carried], dim=1)
            carried = [halve(block(gate(context, level.gated)))]
        [features] = carried
        upwards = [*zip(self.decoder_gates, decoder_blocks, decoder, strict=True)][::-1]
        for gate, block, level in upwards:
            context = torch.cat([level.context, block(enlarge(features))], dim=1)
            features = gate(context, level.gated)
        return cast("Tensor", self.head(features))


class SegNetMTAN(nn.Module):
    """SegNet with a soft attention branch per task.

    Predictions are raw: logits for segmentation, the data set's unit for depth; normals are
    divided by their length. Weights come from torch's global generator.

    Args:
        width: Factor on every channel count of the published network.
        channels: Output channels per task; the tasks' order is the order of the branches.
        widths: Channels per channel group of a network that was cut; None: as `width` says.
        pool_ties: Where unpooling puts the maximum of a window whose values are equal but for
            rounding, in evaluation mode: "torch": where rounding has it; "first": see `FirstPool`.

    Raises:
        ValueError: `widths` are not the groups of this network, or not within their widths.

    Source:
        Liu et al., End-to-End Multi-Task Learning with Attention (arXiv:1803.10704), with the
        layer counts of its published code. Departures: logits instead of log-probabilities; a
        small constant keeps the length of a normal from being 0; no log-variances as parameters.
    """

    def __init__(
        self,
        *,
        width: float,
        pool_ties: Literal["torch", "first"],
        channels: Mapping[str, int],
        widths: Mapping[str, int] | None,
    ) -> None:
        super().__init__()
        choice = settings.SegNetMTAN(name="segnet_mtan", width=width)
        self.tasks = tuple(channels)
        self.groups = choice.channel_groups(self.tasks)
        w = checked_widths(widths, self.groups)
        self.encoder_block = nn.ModuleList(
            ConvBlock(w[f"stage{s - 1}"] if s > 1 else 3, w[f"encoder{s}.a"]) for s in _STAGES
        )
        self.conv_block_enc = nn.ModuleList(_rest(w, f"encoder{s}", f"stage{s}") for s in _STAGES)
        self.decoder_block = nn.ModuleList(
            ConvBlock(w[f"stage{s}"], w[f"decoder{s}.a"]) for s in _STAGES
        )
        self.conv_block_dec = nn.ModuleList(
            _rest(w, f"decoder{s}", f"stage{s - 1}") for s in _STAGES
        )
        self.encoder_block_att = nn.ModuleList(
            ConvBlock(w[f"stage{s}"], w[f"encoder{s}.shared"]) for s in _STAGES
        )
        self.decoder_block_att = nn.ModuleList(
            ConvBlock(w[f"stage{s}" if s < 5 else "encoder5.shared"], w[f"decoder{s}.shared"])
            for s in _STAGES
        )
        self.branches = nn.ModuleDict(
            {
                task: TaskBranch(w, task=task, hidden=choice.scaled(64), channels=channels[task])
                for task in self.tasks
            }
        )
        self.pool: nn.Module = (
            FirstPool() if pool_ties == "first" else nn.MaxPool2d(2, return_indices=True)
        )
        self.unpool: nn.Module = Unpool()
        _initialise(self)

    def forward(
        self, images: Float[Tensor, "image rgb row column"], tasks: Sequence[str]
    ) -> dict[str, Float[Tensor, "image _ row column"]]:
        """A prediction per task asked for, at the images' size; other branches do not run.

        Raises:
            ValueError: Rows or columns are not a multiple of 32, or a task has no branch.
        """
        _require_multiples(images)
        require_branches(tasks, self.tasks)
        encoder, decoder = self._shared(images)
        predictions = {
            task: self.branches[task](
                encoder=encoder,
                decoder=decoder,
                encoder_blocks=self.encoder_block_att,
                decoder_blocks=self.decoder_block_att,
            )
            for task in tasks
        }
        return normalise_normals(predictions)

    def widths(self) -> dict[str, int]:
        """Channels that each channel group has now; with the settings, enough to rebuild it."""
        return present_widths(self, self.groups)

    def norms(self) -> dict[str, tuple[nn.BatchNorm2d, ...]]:
        """Batch norms behind each channel group's producers; those of gates are left out."""
        return {
            group.name: tuple(
                cast("nn.BatchNorm2d", self.get_submodule(conv.removesuffix("conv") + "norm"))
                for conv in group.producers
            )
            for group in self.groups
        }

    def feature_maps(self) -> dict[str, tuple[nn.Module, ...]]:
        """Blocks whose outputs are what each channel group's producers give, after the ReLU."""
        return {
            group.name: tuple(
                self.get_submodule(conv.removesuffix(".conv")) for conv in group.producers
            )
            for group in self.groups
        }

    @contextmanager
    def traceable(self) -> Iterator[None]:
        """A context in which a tracer of gradients sees every coupling between channels.

        Unpooling reuses the encoder's indices channel by channel, but indices carry no gradient.
        Inside, predictions are of the right shape and of no meaning.
        """
        pool, unpool = self.pool, self.unpool
        self.pool, self.unpool = TracedPool(), TracedUnpool()
        try:
            yield
        finally:
            self.pool, self.unpool = pool, unpool

    def _shared(self, images: Tensor) -> tuple[list[Level], list[Level]]:
        """The levels of encoder and decoder, stage 1 first."""
        encoder: list[Level] = []
        indices: list[Tensor] = []
        features = images
        for block, rest in zip(self.encoder_block, self.conv_block_enc, strict=True):
            first = block(features)
            encoder.append(Level(context=first, gated=rest(first)))
            features, where = self.pool(encoder[-1].gated)
            indices.append(where)
        decoder: list[Level] = []
        upwards = [*zip(self.decoder_block, self.conv_block_dec, indices, strict=True)][::-1]
        for block, rest, where in upwards:
            unpooled = self.unpool(features, where)
            features = rest(block(unpooled))
            decoder.append(Level(context=unpooled, gated=features))
        return encoder, decoder[::-1]


def _require_multiples(images: Tensor) -> None:
    multiple = settings.SegNetMTAN.size_multiple
    rows, columns = images.shape[-2:]
    if rows % multiple or columns % multiple:
        raise ValueError(
            f"SegNet-MTAN halves its images five times: rows and columns must be multiples of "
            f"{multiple}, received {rows} x {columns}"
        )


def _rest(widths: Mapping[str, int], stage: str, output: str) -> nn.Sequential:
    """The convolutions of a stage behind its first: two where it has a middle, else one."""
    names = [f"{stage}.a", f"{stage}.m", output]
    channels = [widths[name] for name in names if name in widths]
    return nn.Sequential(*(ConvBlock(ins, outs) for ins, outs in pairwise(channels)))


def _initialise(network: nn.Module) -> None:
    """Xavier-normal convolutions without bias; batch norms start as the identity by themselves."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(cast("Tensor", module.bias))
