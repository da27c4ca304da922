"""What a check of a store must know of the backend that wrote it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mtljobs.store.findings import Finding
from mtljobs.store.schema import Node

Schema = Mapping[str, Node]


@dataclass(frozen=True)
class Part:
    """What one file holds of an array.

    Attributes:
        node: As in `"<experiment>/<task>"`.
        array: Name of the array.
        where: The part along each axis of the array.
        values: Along all axes.
    """

    node: str
    array: str
    where: Mapping[str, slice]
    values: np.ndarray


class Backend(Protocol):
    """A store is made of results, which records list, and of its own files, which they do not."""

    def own_files(self, schema: Schema) -> Collection[str]:
        """Names of the files in a store that follow from the plan."""
        ...

    def check_own_files(self, store: Path, schemas: Iterable[Schema]) -> Iterator[Finding]:
        """What is wrong with the store's own files.

        Args:
            schemas: Of the run's plans, the newest first; the store may not have grown to it yet.
        """
        ...

    def decode(self, schema: Schema, name: str, content: bytes) -> Part:
        """What a file of results holds.

        Args:
            name: Of the file, as a record lists it.

        Raises:
            CorruptionError: It cannot be decoded.
        """
        ...
