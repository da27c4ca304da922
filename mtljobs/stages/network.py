"""A network on disk: `weights.safetensors` with its channel widths; no pickled class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from mtljobs.contracts import MASK_AGREEMENT
from mtljobs.errors import WeightsError
from mtljobs.ledger.records import require_intact
from mtljobs.pruning.masks import prepare_masks
from mtljobs.settings import build
from mtljobs.settings.models import ModelChoice

WEIGHTS = "weights.safetensors"
MESSAGE = 400
"""Characters of torch's complaint that are repeated; it names every tensor that does not fit."""


def save_network(folder: Path, model: Any) -> None:
    """Write a network's weights, and the widths that rebuild it, to a folder."""
    state = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    # One key: the order of several is not fixed, and equal networks are equal bytes.
    content = save(state, metadata={"widths": json.dumps(model.widths())})
    (folder / WEIGHTS).write_bytes(content)  # save_file raises no OSError where the disk is full


def load_network(
    folder: Path, choice: ModelChoice, *, channels: dict[str, int], device: torch.device
) -> Any:
    """The network in a folder, as narrow and as sparse as it was saved, in evaluation mode.

    Raises:
        CorruptionError: The file is not what was committed.
        WeightsError: The file holds another network, or numbers that are not finite.
    """
    path = require_intact(folder, WEIGHTS)
    with safetensors.safe_open(path, framework="pt") as file:
        widths = json.loads(file.metadata()["widths"])
    state = load_file(path)
    _require_finite(path, state)
    try:
        model: Any = build(choice, channels=channels, widths=widths)
        prepare_masks(model, state)
        model.load_state_dict(state)
    # What a model says of widths that it cannot have, and torch of tensors that do not fit.
    except (ValueError, RuntimeError) as error:
        found = " ".join(str(error).split())
        raise WeightsError(
            f"{path} holds the weights of another network than {choice.name} for "
            f"{', '.join(channels)}: {found[:MESSAGE]}. The file is whole, so it was committed by "
            "another release, or copied here: move its folder away, and submit again to have the "
            "network trained."
        ) from error
    return model.to(device).eval()


def _require_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    odd = [
        name
        for name, values in state.items()
        if not name.endswith(MASK_AGREEMENT) and not values.isfinite().all()
    ]
    if odd:
        raise WeightsError(
            f"{path} holds numbers that are not finite, in {len(odd)} of {len(state)} tensors, "
            f"{odd[0]} the first; expected a network that computes. Its training diverged: look "
            "at training.jsonl beside it, lower training.learning_rate, and submit to another run."
        )
