"""The layer that is explained: found by its name, its output caught in a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn

from mtljobs.errors import GridError

if TYPE_CHECKING:
    from jaxtyping import Float

Computed = TypeVar("Computed")


def run_from_layer(
    model: nn.Module, layer: str, compute: Callable[[], Computed]
) -> tuple[Computed, Float[Tensor, "image channel row column"]]:
    """What `compute` gives through the model, and the layer's output, where its graph begins.

    Args:
        layer: Name of a module, such as "conv_block_dec.0".

    Raises:
        GridError: The layer is no module of the model, runs more or less than once, or has no
            output `image channel row column`.
    """
    outputs: list[Tensor] = []

    def begin_graph(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise GridError(
                f"The layer {layer!r} puts out {_kind(output)}; a map needs a layer whose output "
                "is one tensor, image channel row column."
            )
        outputs.append(output.detach().requires_grad_())
        return outputs[-1]

    handle = _module(model, layer).register_forward_hook(begin_graph)
    try:
        computed = compute()
    finally:
        handle.remove()
    if len(outputs) != 1:
        raise GridError(
            f"The layer {layer!r} ran {len(outputs)} times in one forward pass; a map needs a "
            "layer that runs once."
        )
    return computed, outputs[0]


def _module(model: nn.Module, layer: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if layer not in modules:
        near = get_close_matches(layer, modules, n=3, cutoff=0.4)
        raise GridError(
            f"The layer {layer!r} is no module of the network; near it: "
            f"{', '.join(near) or 'none'}."
        )
    return modules[layer]


def _kind(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"
