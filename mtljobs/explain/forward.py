"""How a network computes the images of an explanation: exactly, or faster by a stated departure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from operator import attrgetter
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtljobs.errors import UserError
from mtljobs.explain.folding import fold_batch_norms, tensors

_TOLERANCE = 0.01
"""Of a folded network's prediction, as a fraction of its mean absolute value."""

_BACKENDS = tuple(
    attrgetter(name)(torch.backends)
    for name in (
        "cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn",
    )
)  # fmt: skip
"""What has a float32 precision of its own."""


class Forward:
    """A network's predictions: called like the network, by itself unchanged.

    Args:
        network: In evaluation mode. Copied where it must be changed.
        example: Arguments of one call that runs every layer which later calls will run. It is
            made where `folded` or `compiled` ask for it.
        precision: "float32" is exact: TF32 off while the network runs, whatever torch's flags
            say. "tf32" lets a GPU round factors to 10 bits. "bfloat16" leaves to `torch.autocast`
            what is computed in 8 bits; predictions come back as float32.
        folded: Batch norms become part of the convolutions before them.
        channels_last: The channels of a pixel lie together in memory.
        compiled: By `torch.compile`, for each shape of arguments anew.

    Attributes:
        unfolded: Names of the batch norms that stayed although `folded`.

    Raises:
        ValueError: The network is in training mode.
        UserError: Folding changes the prediction on the example, or torch cannot compile here.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ReLU()).eval()
        >>> images = torch.rand(1, 3, 4, 4)
        >>> forward = Forward(
        ...     network=network, example=(images,), precision="float32", folded=True,
        ...     channels_last=True, compiled=False,
        ... )  # fmt: skip
        >>> forward.unfolded, torch.allclose(forward(images), network(images), atol=1e-6)
        ((), True)
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        example: tuple[Any, ...],
        precision: Literal["float32", "tf32", "bfloat16"],
        folded: bool,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        _require_evaluation(network)
        self._precision = precision
        self._channels_last = channels_last
        self._network = deepcopy(network) if folded or channels_last else network
        self.unfolded = fold_batch_norms(self._network, example) if folded else ()
        if folded:
            _require_alike(self._network, network, example)
        if channels_last:
            self._network.to(memory_format=torch.channels_last)
        self._call: Callable[..., Any] = self._network
        if compiled:
            self._call = _compiled(self._network)
            _require_compiler(self, example)

    def __call__(self, *arguments: Any) -> Any:
        """What the network gives for these arguments."""
        if self._channels_last:
            arguments = tuple(map(_channels_last, arguments))
        with _precision(self._precision, device=next(tensors(arguments)).device):
            output = self._call(*arguments)
        return _in_float32(output) if self._precision == "bfloat16" else output


def _require_evaluation(network: nn.Module) -> None:
    training = [name for name, module in network.named_modules() if module.training]
    if training:
        raise ValueError(
            f"{type(network).__name__} is in training mode (its module {training[0]!r} at least), "
            "where a prediction depends on chance and on its batch: call network.eval() first."
        )


def _require_alike(folded: nn.Module, network: nn.Module, example: tuple[Any, ...]) -> None:
    """Refuse a folded network whose prediction differs from the network's by more than rounding.

    By the median over a prediction's values: rounding may decide a max-pooling between two values
    that are nearly equal, and where its index is used again, that moves a few values far.
    """
    with torch.inference_mode(), _precision("float32", device=next(tensors(example)).device):
        pairs = zip(tensors(folded(*example)), tensors(network(*example)), strict=True)
        measured = [
            ((new - old).abs().median().item(), old.abs().mean().item()) for new, old in pairs
        ]
    for deviation, size in measured:
        if not deviation <= _TOLERANCE * size:  # also where one is no number
            raise UserError(
                f"folding the batch norms of {type(network).__name__} changes its prediction on "
                f"the example, {size:.3g} at the mean, by {deviation:.3g} at the median; rounding "
                f"changes it by less than {_TOLERANCE:.0%}. One of its batch norms does more than "
                "normalise, in a hook perhaps: write folded = false."
            )


def _compiled(network: nn.Module) -> Callable[..., Any]:
    # One shape, one compilation: code for all shapes is slower. Frozen weights are laid out as
    # the products want them.
    return torch.compile(network, dynamic=False, options={"freezing": True})


def _require_compiler(forward: Forward, example: tuple[Any, ...]) -> None:
    try:
        with torch.inference_mode():
            forward(*example)
    except Exception as error:  # a compiler's troubles are of any type
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"torch.compile fails on this machine: {type(error).__name__}: {reason}. It needs a "
            "C++ compiler, g++ or what the variable CXX names: install one, or write "
            "compiled = false, which changes speed and rounding alone."
        ) from error


@contextmanager
def _precision(name: str, *, device: torch.device) -> Iterator[None]:
    """What computes with this precision, and afterwards as it did before."""
    before = [backend.fp32_precision for backend in _BACKENDS]
    half = torch.autocast(device.type, torch.bfloat16, enabled=name == "bfloat16")
    try:
        _set_precisions(["tf32" if name == "tf32" else "ieee"] * len(_BACKENDS))
        with half:
            yield
    finally:
        _set_precisions(before)


def _set_precisions(precisions: list[str]) -> None:
    for backend, precision in zip(_BACKENDS, precisions, strict=True):
        backend.fp32_precision = precision


def _channels_last(argument: Any) -> Any:
    """Images with the channels of a pixel together; anything else as it is."""
    if isinstance(argument, Tensor) and argument.ndim == 4:
        return argument.contiguous(memory_format=torch.channels_last)
    return argument


def _in_float32(output: Any) -> Any:
    """A prediction, or predictions by name or place, as float32."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: _in_float32(value) for name, value in output.items()}
    if isinstance(output, (list, tuple)):
        return [_in_float32(value) for value in output]
    return output
