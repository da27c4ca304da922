"""How far two sets of one shard's results are apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtljobs.errors import CorruptionError
from mtljobs.store.inventory import Held
from mtljobs.store.sources import FolderSource, Source
from mtljobs.store.values import Decode


@dataclass(frozen=True)
class Comparison:
    """What differs between what is stored and what was computed again.

    Attributes:
        files: How many were compared.
        different: Names of those whose numbers differ in any bit.
        deviation: Largest difference of two numbers; infinite where one of them is missing.
    """

    files: int
    different: tuple[str, ...]
    deviation: float


def compare(held: Held, folder: Path, decode: Decode) -> Comparison:
    """Compare a shard's stored files with others of the same names in a folder."""
    deviations = {}
    again = FolderSource(folder)
    for name in held.record.files:
        one, other = _read(held.place.find(name), name), _read(again, name)
        if one != other:
            deviation = _deviation(name, one, other, decode)
            if deviation is not None:
                deviations[name] = deviation
    largest = max(deviations.values(), default=0.0)
    return Comparison(len(held.record.files), tuple(deviations), largest)


def _read(source: Source, name: str) -> bytes:
    return b"" if source.size(name) is None else source.read(name)


def _deviation(name: str, one: bytes, other: bytes, decode: Decode) -> float | None:
    """Largest difference of two files' numbers; None where these are equal, bit for bit."""
    try:
        stored, found = decode(name, one).values, decode(name, other).values
    except CorruptionError:
        return np.inf
    if stored.tobytes() == found.tobytes():
        return None  # other bytes for the same numbers: another release of the compressor
    apart = np.abs(stored.astype(np.float64) - found.astype(np.float64))
    apart = np.where(np.isnan(stored) & np.isnan(found), 0.0, apart)
    return float(np.where(np.isnan(apart), np.inf, apart).max())
