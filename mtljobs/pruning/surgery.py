"""The physical cut: channels leave a network, and every layer that they met narrows with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch_pruning
from jaxtyping import Float
from torch import Tensor, nn

from mtljobs.contracts import ChannelGroup, Model
from mtljobs.errors import MtljobsError

TRACED_SIDE = 64
"""Rows and columns of an image that a network is traced with; every `size_multiple` divides it."""


def narrow(
    model: nn.Module,
    kept: Mapping[str, Sequence[int]],
    *,
    groups: Sequence[ChannelGroup],
    images: Float[Tensor, "image channel row column"],
) -> None:
    """Remove the channels that are not kept.

    Args:
        model: Changed in place.
        kept: Indices per group, at least one each; what remains keeps its order.
        groups: As the model's settings state them.
        images: At least one, of any content; a corner of the first is what is traced.

    Raises:
        MtljobsError: The trace couples other channels than the groups state, so that a cut would
            misalign them, which need not fail later.

    Source:
        Fang et al., DepGraph: Towards Any Structural Pruning (arXiv:2301.12900).
    """
    graph = trace(model, images[:1, :, :TRACED_SIDE, :TRACED_SIDE])
    widths = cast("Model", model).widths()
    for group in groups:
        gone = sorted(set(range(widths[group.name])) - set(kept[group.name]))
        if not gone:
            continue
        cut = graph.get_pruning_group(
            model.get_submodule(group.producers[0]), torch_pruning.prune_conv_out_channels, gone
        )
        stated = dict.fromkeys([*group.producers, *group.followers], gone)
        if (traced := coupled(cut, model)) != stated:
            odd = sorted(name for name in stated | traced if stated.get(name) != traced.get(name))
            raise MtljobsError(
                f"channel group {group.name} states other members, or channels of members, than "
                f"the traced network couples: {', '.join(odd)}. The model's channel_groups() and "
                "its forward pass must agree"
            )
        cut.prune(record_history=False)


def trace(model: nn.Module, images: Float[Tensor, "image channel row column"]) -> Any:
    """torch-pruning's graph of which channels of which layers depend on each other."""
    network = cast("Model", model)
    training = model.training
    with network.traceable(), torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            model,
            images,
            forward_fn=lambda _, inputs: list(network(inputs, network.tasks).values()),
        )
    model.train(training)  # tracing leaves the model in eval mode
    return graph


def coupled(cut: Any, model: nn.Module) -> dict[str, list[int]]:
    """Output channels that a traced cut takes, for each convolution that loses any."""
    names = {module: name for name, module in model.named_modules()}
    return {
        names[dependency.layer]: sorted(channels)
        for dependency, channels in cut
        if dependency.pruning_fn == torch_pruning.prune_conv_out_channels
    }
