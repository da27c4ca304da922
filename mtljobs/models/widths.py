"""Channels per channel group: what a network is built from, and what it has after a cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from torch import nn

from mtljobs.contracts import ChannelGroup


def checked_widths(
    widths: Mapping[str, int] | None, groups: Iterable[ChannelGroup]
) -> dict[str, int]:
    """The width of every group, dense where none are given.

    Raises:
        ValueError: `widths` are not of these groups, or not within their widths.
    """
    dense = {group.name: group.width for group in groups}
    if widths is None:
        return dense
    if odd := sorted(dense.keys() ^ widths.keys()):
        raise ValueError(
            f"widths must name the network's {len(dense)} channel groups; received "
            f"{len(widths)}, of which these are missing or unknown: {', '.join(odd[:5])}"
        )
    if wrong := [name for name in dense if not 1 <= widths[name] <= dense[name]]:
        name = wrong[0]
        raise ValueError(f"group {name} has 1 to {dense[name]} channels, received {widths[name]}")
    return dict(widths)


def present_widths(network: nn.Module, groups: Iterable[ChannelGroup]) -> dict[str, int]:
    """Channels that each group of a network has now."""
    return {
        group.name: cast("nn.Conv2d", network.get_submodule(group.producers[0])).out_channels
        for group in groups
    }
