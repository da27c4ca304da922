"""A network on disk: `weights.safetensors` with its channel widths; no pickled class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save

from mtljobs.ledger.records import require_intact
from mtljobs.settings import build
from mtljobs.settings.models import ModelChoice

WEIGHTS = "weights.safetensors"


def save_network(folder: Path, model: Any) -> None:
    """Write a network's weights, and the widths that rebuild it, to a folder."""
    state = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    # One key: the order of several is not fixed, and equal networks are equal bytes.
    content = save(state, metadata={"widths": json.dumps(model.widths())})
    (folder / WEIGHTS).write_bytes(content)  # save_file raises no OSError where the disk is full


def load_network(
    folder: Path, choice: ModelChoice, *, channels: dict[str, int], device: torch.device
) -> Any:
    """The network in a folder, as narrow as it was saved, in evaluation mode.

    Raises:
        CorruptionError: The file is not what was committed.
    """
    path = require_intact(folder, WEIGHTS)
    with safetensors.safe_open(path, framework="pt") as file:
        widths = json.loads(file.metadata()["widths"])
    model: Any = build(choice, channels=channels, widths=widths)
    model.load_state_dict(load_file(path))
    return model.to(device).eval()
