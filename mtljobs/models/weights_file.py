"""Initial weights from a file that the user brings: checked, then fitted to a module."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from mtljobs.errors import WeightsError

NAMED = 3
"""Tensors that a message names at most."""


def read_weights(path: Path, *, sha256: str) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU.

    Args:
        path: A `.safetensors`, or a `.pth` or `.pt` that holds a state dict. Nothing that a file
            pickles is run: torch's restricted reader takes tensors and plain values alone.
        sha256: What the file must be, 64 hex digits; checked before the file is parsed.

    Raises:
        WeightsError: The file is missing, another one, damaged, no state dict, or not finite.
    """
    content = _read(path)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise WeightsError(
            f"{path} is not the weights file that the grid names: its SHA-256 is {found}, expected "
            f"{sha256}. Fetch the file again, or write the sum that `sha256sum` prints."
        )
    state = _parse(path, content)
    if odd := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise WeightsError(
            f"{path} holds values that are not finite, in {_some(odd)}: its training diverged. "
            "Save the weights of an earlier step."
        )
    return state


def load_weights(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Give a module the weights of a state dict that fits it.

    Args:
        module: Changed in place; untouched where the state does not fit. Counters of batches
            (`num_batches_tracked`), which older files lack, may be missing.
        source: What the message calls the state, such as the file's path.

    Raises:
        WeightsError: Names that are missing or unknown, or shapes that differ.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state and "num_batches" not in name]
    unknown = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    findings = {"lacks": missing, "also holds": unknown, "has other shapes in": shapes}
    if any(findings.values()):
        found = "; it ".join(f"{verb} {_some(odd)}" for verb, odd in findings.items() if odd)
        raise WeightsError(
            f"{source} holds the weights of another network than {type(module).__name__} with "
            f"{len(own)} tensors: it {found}. Bring weights of the same architecture, width and "
            "tasks, or leave the key away to start from random weights."
        )
    module.load_state_dict({**own, **state})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the weights file {path} cannot be read ({error.strerror}). Write the path as the "
            "machine that trains sees it."
        ) from error


def _parse(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(content)
        values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes let torch's reader fail in any way
        raise WeightsError(
            f"{path} is damaged, or no file of weights alone; expected a .safetensors, or a .pth "
            "or .pt with what torch.save(model.state_dict(), path) writes. Whole pickled models "
            "are not read, as reading one runs its code."
        ) from error
    return _checked(path, values)


def _checked(path: Path, values: Any) -> dict[str, Tensor]:
    if not isinstance(values, Mapping):
        what = f"a {type(values).__name__}"
    elif odd := [str(name) for name, value in values.items() if not _is_weight(name, value)]:
        what = f"a {type(values).__name__} with no plain tensor under {_some(odd)}"
    else:
        return dict(values)
    raise WeightsError(
        f"{path} holds {what}; expected a state dict, parameter names to tensors. Save "
        "model.state_dict() alone, without optimiser or epoch, of a network that is not quantised."
    )


def _is_weight(name: Any, value: Any) -> bool:
    """Whether an entry is a named tensor of numbers that are there."""
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
