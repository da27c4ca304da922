"""Batch norms folded into the convolutions before them: fewer passes over the same features.

In evaluation mode a batch norm multiplies and shifts each channel by constants, which the weights
of a convolution can take over. Which ones may is read off one pass of the network, not off the
names or the order of its modules, so that it holds for anybody's network.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d

_aten = torch.ops.aten
_CONVOLUTIONS = {_aten.convolution, _aten.conv1d, _aten.conv2d, _aten.conv3d}
"""A convolution's operation; in inference mode its own, elsewhere the first, that of them all."""


def fold_batch_norms(network: nn.Module, example: tuple[Any, ...]) -> tuple[str, ...]:
    """Names of the batch norms that could not be folded; all others are identities now.

    A norm is folded where it was given the outputs of one convolution, all of them, and nothing
    else took these: no addition, no view, no caller. A layer that does not run stays as it is.

    Args:
        network: In evaluation mode; changed in place.
        example: Arguments of one call, which runs what later calls will run.
    """
    trace = _Trace()
    with torch.no_grad(), trace:
        returned = {trace.source(tensor) for tensor in tensors(network(*example))}
    left = []
    for name, norm in list(network.named_modules()):
        if isinstance(norm, _BatchNorm):
            conv = _sole_source(norm, network, trace, returned)
            if conv is None:
                left.append(name)
            else:
                _fold(conv, norm, network)
    return tuple(left)


def tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in what a network takes or gives: alone, in mappings, lists and tuples."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from tensors(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors(value)


@dataclass(frozen=True, eq=False)
class _Call:
    """One operation of a pass, and the sources of the tensors that it took."""

    operation: Any
    took: tuple[_Call | int, ...]


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Who took which tensor while a network ran; keeps no tensor alive.

    The source of a tensor is the call that made it, or its own id where it was there before.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.takers: defaultdict[_Call | int, list[_Call]] = defaultdict(list)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        call = _Call(func, tuple(self.source(tensor) for tensor in tensors((args, kwargs))))
        for source in call.took:
            self.takers[source].append(call)
        made = func(*args, **kwargs)
        for tensor in tensors(made):
            tensor._source = call  # type: ignore[attr-defined]
        return made

    @staticmethod
    def source(tensor: Tensor) -> _Call | int:
        return getattr(tensor, "_source", id(tensor))


def _sole_source(
    norm: _BatchNorm, network: nn.Module, trace: _Trace, returned: set[_Call | int]
) -> Convolution | None:
    """The convolution whose outputs went to this norm and nowhere else, if there is one."""
    if norm.training or type(norm).forward is not _BatchNorm.forward:
        return None
    calls = trace.takers[id(norm.running_mean)]
    given = [call.took[0] for call in calls]
    if any(trace.takers[source] != [call] for source, call in zip(given, calls, strict=True)):
        return None
    if not given or returned.intersection(given):
        return None
    found = [module for module in network.modules() if _gave(module, given, trace)]
    return found[0] if len(found) == 1 else None


def _gave(module: nn.Module, sources: list[_Call | int], trace: _Trace) -> TypeGuard[Convolution]:
    """Whether a module is a convolution, and these are all that its parameters were used for."""
    if not isinstance(module, Convolution):
        return False
    parameters = tuple(id(p) for p in (module.weight, module.bias) if p is not None)
    return all(trace.takers[parameter] == sources for parameter in parameters) and all(
        isinstance(source, _Call)
        and source.operation.overloadpacket in _CONVOLUTIONS
        and source.took[1:] == parameters
        for source in sources
    )


def _fold(conv: Convolution, norm: _BatchNorm, network: nn.Module) -> None:
    with torch.no_grad():
        fused = fuse_conv_bn_eval(conv, norm)
    conv.weight, conv.bias = fused.weight, fused.bias
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if module is norm:
            network.set_submodule(name, nn.Identity())
