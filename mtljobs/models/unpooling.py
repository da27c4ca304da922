"""Max-unpooling: values back to the places that they were the maximum of.

Pooling hands its indices over to unpooling channel by channel, so both ends must keep the same
channels. Indices carry no gradient, and a tracer of gradients does not see that; for it, the
traced pair replaces the indices by a tensor that does.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mtljobs.models.resizing import halve

TIE = 1e-4
"""Share of a window's maximum by which a value may lie below it and count as equal to it."""

Pooled = tuple[Float[Tensor, "image channel row column"], Int[Tensor, "image channel row column"]]
"""Maxima, and the place that each was found at in its plane, counted row by row."""


class FirstPool(nn.Module):
    """Max-pooling of 2 x 2 windows where, in evaluation mode, the first of equal values wins.

    Where an image was filled with one value, the values in a window differ by rounding alone.
    torch takes the largest, so that batch size, layout, library and number of threads decide where
    unpooling puts it. Here the index is that of the first value within `TIE` of the maximum, which
    is far above rounding (a few 1e-6) and far below what tells places of an image apart; what is
    carried on is the maximum still, and values that are equal to the last bit share its gradient.
    Only a value that lies `TIE` below the maximum, give or take rounding, is left to rounding.
    Training takes torch's choice.
    """

    def forward(
        self, features: Float[Tensor, "image channel doubled_row doubled_column"]
    ) -> Pooled:
        """The pooled features and their indices."""
        if self.training:
            return functional.max_pool2d(features, 2, return_indices=True)
        pooled = halve(features)
        upper, lower = features[..., ::2, :], features[..., 1::2, :]
        least = pooled - TIE * pooled.abs()
        width = features.shape[3]
        behind = torch.where(lower[..., ::2] >= least, width, width + 1)
        behind = torch.where(upper[..., 1::2] >= least, 1, behind)
        behind = torch.where(upper[..., ::2] >= least, 0, behind)
        return pooled, _corners(pooled) + behind


def _corners(pooled: Float[Tensor, "image channel row column"]) -> Int[Tensor, "row column"]:
    """Where each window begins in its plane."""
    rows, columns = pooled.shape[2:]
    row, column = (torch.arange(length, device=pooled.device) for length in (rows, columns))
    return 4 * columns * row[:, None] + 2 * column


class Unpool(nn.Module):
    """Max-unpooling of 2 x 2 windows that do not overlap.

    torch's own refuses to run under `use_deterministic_algorithms`, since overlapping windows
    could write to one place twice. Ours cannot, and scatter is deterministic on every device.
    """

    def forward(
        self,
        pooled: Float[Tensor, "image channel row column"],
        indices: Int[Tensor, "image channel row column"],
    ) -> Float[Tensor, "image channel doubled_row doubled_column"]:
        """Every value at its index, 0 elsewhere."""
        if pooled.is_contiguous(memory_format=torch.channels_last):
            # Its pixels lie one after the other, so that scattering by pixel copies nothing.
            places, values = (tensor.movedim(1, 3).flatten(1, 2) for tensor in (indices, pooled))
            images, rows, columns, channels = pooled.movedim(1, 3).shape
            canvas = pooled.new_zeros(images, 4 * rows * columns, channels)
            filled = canvas.scatter(1, places, values)
            return filled.view(images, 2 * rows, 2 * columns, channels).movedim(3, 1)
        images, channels, rows, columns = pooled.shape
        canvas = pooled.new_zeros(images, channels, 4 * rows * columns)
        filled = canvas.scatter(2, indices.flatten(2), pooled.flatten(2))
        return filled.view(images, channels, 2 * rows, 2 * columns)


class TracedPool(nn.Module):
    """Pooling whose second output is no index but carries gradients."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features, twice."""
        pooled = functional.max_pool2d(features, 2)
        return pooled, pooled


class TracedUnpool(nn.Module):
    """Unpooling whose sum ties the channels of both its inputs."""

    def forward(self, pooled: Tensor, indices: Tensor) -> Tensor:
        """A tensor of the right shape and of no meaning."""
        return functional.interpolate(pooled + indices, scale_factor=2)
