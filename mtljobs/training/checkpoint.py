"""The one file that an unfinished training leaves: written aside, replaced, checked on reading."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtljobs.ledger.files import replace_file

CHECKSUM_BYTES = hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint; a kill at any instruction leaves the old or the new one, whole.

    Args:
        state: Tensors and plain values, nested in dicts and lists.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    # The checksum comes last: a state of gigabytes is then copied once, not thrice.
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    replace_file(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state that was saved last, or None where there is none to use.

    A checkpoint that is not what was written is set aside under another name, with a warning: the
    training then starts over and comes to the same network.
    """
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if hashlib.sha256(payload).digest() != checksum:
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        _log.warning("checkpoint %s is corrupt: set aside as %s, starting over", path, aside.name)
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def named_tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a state of nested dicts and lists, with its dotted name."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, (Mapping, list, tuple)):
        for key, value in state.items() if isinstance(state, Mapping) else enumerate(state):
            yield from named_tensors(value, f"{name}.{key}" if name else str(key))
