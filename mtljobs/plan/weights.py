"""Weights files that a grid names: where they lie, and whether they are what it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtljobs.errors import GridError, WeightsError
from mtljobs.ledger.files import hash_file
from mtljobs.settings.grid import Experiment
from mtljobs.settings.models import WeightsFile


def locate_weights(
    experiment: Experiment, folder: Path, known: Mapping[str, str]
) -> dict[str, str]:
    """SHA-256 -> absolute path of every weights file that an experiment names.

    Args:
        folder: Of the grid file; what relative paths count from.
        known: `[resources.weights]`, for files that are named by their SHA-256 alone.

    Raises:
        GridError: The experiment does not say where a file is.
        WeightsError: It is not there.
    """
    located = {}
    for key, weights in _weights_files(experiment):
        where = f"experiment {experiment.name!r}: {key}"
        if not weights.file and weights.sha256 not in known:
            raise GridError(
                f'{where} says no file; write {key} = {{ file = "PATH", sha256 = "..." }}.'
            )
        path = (folder / (weights.file or known[weights.sha256])).absolute()
        if not path.is_file():
            raise WeightsError(
                f"{where} names {path}, and there is no such file; a relative path counts from "
                "the grid file."
            )
        located[weights.sha256] = str(path)
    return located


def check_weights(located: Mapping[str, str]) -> None:
    """Refuse a weights file that is another one than its grid says.

    Args:
        located: SHA-256 -> path.

    Raises:
        WeightsError: Names the file, and what it is.
    """
    for sha256, path in located.items():
        try:
            found = hash_file(Path(path))
        except OSError as error:
            raise WeightsError(
                f"the weights file {path} cannot be read: {error.strerror}."
            ) from error
        if found != sha256:
            raise WeightsError(
                f"the weights file {path} is not the one that the grid names: its sha256 is "
                f"{found}, expected {sha256}. Bring that file, or write the sum of this one, which "
                "makes other networks of it."
            )


def _weights_files(settings: Any, key: str = "") -> Iterator[tuple[str, WeightsFile]]:
    """Every weights file in a settings object, with its dotted key."""
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        if isinstance(value, WeightsFile):
            yield f"{key}{entry.name}", value
        elif dataclasses.is_dataclass(value):
            yield from _weights_files(value, f"{key}{entry.name}.")
