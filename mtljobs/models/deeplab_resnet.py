"""DeepLab on a ResNet-34: a shared backbone of output stride 8, four dilated branches per task.

Module names are part of the checkpoint format: below `backbone` they are torchvision's, so that
its weights fit; `branches.<task>.rate<r>` is what belongs to one task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.models.predictions import normalise_normals, require_branches
from mtljobs.models.weights_file import load_weights
from mtljobs.models.widths import checked_widths, present_widths
from mtljobs.settings import models as settings

_STRIDES = (1, 2, 1, 1)
_DILATIONS = (1, 1, 2, 4)
_MEAN_255 = (122.67891434, 116.66876762, 104.00698793)
"""Of the images that the published network was made for, on 0 to 255; red, green, blue."""
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class DilatedConv(nn.Conv2d):
    """A 3 x 3 convolution without bias that keeps the size, but for its stride."""

    def __init__(self, ins: int, outs: int, *, dilation: int, stride: int = 1) -> None:
        super().__init__(
            ins, outs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )


class BasicBlock(nn.Module):
    """Two convolutions on top of what comes in, or of a projection of it.

    Args:
        ins: Channels of the stream that comes in.
        inner: Channels between the convolutions.
        outs: Channels of the stream that goes out.
        projects: Whether a 1 x 1 convolution stands in the shortcut.
    """

    def __init__(
        self, ins: int, inner: int, outs: int, *, stride: int, dilation: int, projects: bool
    ) -> None:
        super().__init__()
        self.conv1 = DilatedConv(ins, inner, dilation=dilation, stride=stride)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu = nn.ReLU()
        self.conv2 = DilatedConv(inner, outs, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(outs)
        self.downsample = nn.Sequential()  # the identity, without projection
        if projects:
            self.downsample.append(nn.Conv2d(ins, outs, 1, stride=stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(outs))
        self.relu_out = nn.ReLU()  # of its own: each hooked module runs once

    def forward(
        self, features: Float[Tensor, "image channel row column"]
    ) -> Float[Tensor, "image channel row column"]:
        """The stream after this block."""
        inner = self.relu(self.bn1(self.conv1(features)))
        out = self.downsample(features) + self.bn2(self.conv2(inner))
        return cast("Tensor", self.relu_out(out))


class Backbone(nn.Module):
    """ResNet-34 without its last pooling and layer; strides of stages 3 and 4 became dilations.

    Args:
        widths: Channels per channel group.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths["stage1"], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths["stage1"])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(widths, s) for s in range(1, 5)
        )

    def forward(
        self, images: Float[Tensor, "image rgb row column"]
    ) -> Float[Tensor, "image channel small_row small_column"]:
        """Features at an eighth of the images' resolution, rounded up."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        for stage in stages:
            features = stage(features)
        return cast("Tensor", features)


class DilatedBranch(nn.Sequential):
    """One of a task's predictions: a view of the features as wide as its dilation."""

    def __init__(self, ins: int, first: int, second: int, channels: int, *, rate: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(ins, first, 3, padding=rate, dilation=rate)
        self.first_relu = nn.ReLU()
        self.first_dropout = nn.Dropout(0.5)
        self.second = nn.Conv2d(first, second, 1)
        self.second_relu = nn.ReLU()
        self.second_dropout = nn.Dropout(0.5)
        self.output = nn.Conv2d(second, channels, 1)


class DeepLabResNet(nn.Module):
    """DeepLab: a ResNet-34 of output stride 8, and four dilated branches per task, added up.

    Predictions are raw, at an eighth of the images' resolution, rounded up; normals are divided by
    their length. Weights come from torch's global generator, those of the backbone from
    `load_backbone` where it is called.

    Args:
        width: Factor on every channel count of the published network.
        backbone: Whether pretrained weights will come, which decides an open `input_scaling`; the
            file itself is not read here, since a network that was trained needs it no more.
        input_scaling: "centred", "standardised", or None.
        channels: Output channels per task; the tasks' order is the order of the branches.
        widths: Channels per channel group of a network that was cut; None: as `width` says.

    Raises:
        ValueError: `widths` are not the groups of this network, or not within their widths.

    Source:
        The network of Sun et al., DiSparse (arXiv:2206.04662), as their released code has it.
        Departures: channels are red, green, blue, where that code reads blue first (for a network
        that starts from random weights the order is immaterial); normals have length 1.
    """

    factor: Tensor
    offset: Tensor

    def __init__(
        self,
        *,
        width: float,
        backbone: settings.WeightsFile | None,
        input_scaling: str | None,
        channels: Mapping[str, int],
        widths: Mapping[str, int] | None,
    ) -> None:
        super().__init__()
        choice = settings.DeepLabResNet(name="deeplab_resnet", width=width)
        self.tasks = tuple(channels)
        self.groups = choice.channel_groups(self.tasks)
        w = checked_widths(widths, self.groups)
        self.backbone = Backbone(w)
        self.branches = nn.ModuleDict(
            {
                task: nn.ModuleDict(
                    {f"rate{r}": _branch(w, task, r, channels[task]) for r in choice.rates}
                )
                for task in self.tasks
            }
        )
        scaling = input_scaling or ("centred" if backbone is None else "standardised")
        for name, values in zip(("factor", "offset"), _SCALINGS[scaling], strict=True):
            # No weights: they stand in the settings, not in a checkpoint.
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        _initialise(self.backbone)

    def forward(
        self, images: Float[Tensor, "image rgb row column"], tasks: Sequence[str]
    ) -> dict[str, Float[Tensor, "image _ small_row small_column"]]:
        """A prediction per task asked for; other branches do not run.

        Raises:
            ValueError: A task has no branch.
        """
        require_branches(tasks, self.tasks)
        features = self.backbone(images * self.factor - self.offset)
        branches = {task: cast("nn.ModuleDict", self.branches[task]).values() for task in tasks}
        return normalise_normals(
            {task: sum(branch(features) for branch in own) for task, own in branches.items()}
        )

    def load_backbone(self, state: Mapping[str, Tensor], *, source: str) -> None:
        """Start the backbone from a state dict of torchvision's `resnet34`.

        Its last layer, which classifies whole images, is left out.

        Args:
            source: What a message calls the state, such as the file's path.

        Raises:
            WeightsError: The weights are another network's, or this one's width is not 1.
        """
        own = {name: value for name, value in state.items() if not name.startswith("fc.")}
        load_weights(self.backbone, own, source=source)

    def widths(self) -> dict[str, int]:
        """Channels that each channel group has now; with the settings, enough to rebuild it."""
        return present_widths(self, self.groups)

    def norms(self) -> dict[str, tuple[nn.BatchNorm2d, ...]]:
        """Batch norms behind each producer of the backbone; the branches have none."""
        return {
            group.name: tuple(
                cast("nn.BatchNorm2d", self.get_submodule(_norm(conv))) for conv in group.producers
            )
            for group in self.groups
            if group.normalised
        }

    def feature_maps(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules whose outputs are what each channel group's producers give, after the ReLU."""
        return {
            group.name: tuple(map(self.get_submodule, dict.fromkeys(map(_map, group.producers))))
            for group in self.groups
        }

    def traceable(self) -> AbstractContextManager[None]:
        """The network as it is: additions tie the channels of a stream, and carry gradients."""
        return nullcontext()


_SCALINGS = {
    "centred": ((255.0, 255.0, 255.0), _MEAN_255),
    "standardised": (
        tuple(1 / deviation for deviation in _IMAGENET_DEVIATION),
        tuple(m / d for m, d in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)),
    ),
}
"""What images in [0, 1] are multiplied with, and what is taken away then."""


def _stage(widths: Mapping[str, int], s: int) -> nn.Sequential:
    """The blocks of stage `s`; the first one strides, and projects from stage 2 on."""
    stride, dilation, outs = _STRIDES[s - 1], _DILATIONS[s - 1], widths[f"stage{s}"]
    return nn.Sequential(
        *(
            BasicBlock(
                outs if k or s == 1 else widths[f"stage{s - 1}"],
                widths[f"stage{s}.{k}"],
                outs,
                stride=1 if k else stride,
                dilation=dilation,
                projects=s > 1 and k == 0,
            )
            for k in range(settings.DeepLabResNet.blocks[s - 1])
        )
    )


def _branch(widths: Mapping[str, int], task: str, rate: int, channels: int) -> DilatedBranch:
    group = f"{task}.rate{rate}"
    first, second = widths[f"{group}.first"], widths[f"{group}.second"]
    return DilatedBranch(widths["stage4"], first, second, channels, rate=rate)


def _norm(conv: str) -> str:
    """Name of the batch norm behind a convolution of the backbone."""
    if conv.endswith("downsample.0"):
        return conv.removesuffix("0") + "1"
    stem, number = conv[:-5], conv[-1]  # "...conv1" or "...conv2"
    return f"{stem}bn{number}"


def _map(conv: str) -> str:
    """Name of the module that gives what a convolution gives after the ReLU."""
    if conv.startswith("branches."):
        return f"{conv}_relu"
    if conv.endswith("conv1"):
        return conv.removesuffix("conv1") + "relu"
    # What a block's last convolution and its shortcut give is seen behind their sum.
    return conv.removesuffix(".conv2").removesuffix(".downsample.0")


def _initialise(backbone: nn.Module) -> None:
    """Small normal convolutions; norms start as the identity, branches as torch makes them."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
