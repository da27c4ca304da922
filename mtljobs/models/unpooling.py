"""Max-unpooling: values back to the places that they were the maximum of.

Pooling hands its indices over to unpooling channel by channel, so both ends must keep the same
channels. Indices carry no gradient, and a tracer of gradients does not see that; for it, the
traced pair replaces the indices by a tensor that does.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


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
