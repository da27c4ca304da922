"""Where files of results lie, under the names by which records call them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import hash_file, open_file

WHOLE = slice(None)


class Source(Protocol):
    """Files by name: in a folder, or packed in one file."""

    def path(self, name: str) -> Path:
        """What to call a file where people read."""
        ...

    def names(self) -> Iterable[str]:
        """Every file that is here."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where it is not here."""
        ...

    def read(self, name: str, part: slice = WHOLE) -> bytes:
        """What a file, or a part of it, holds.

        Raises:
            OSError: It is not here, or the disk does not give it.
        """
        ...

    def hash(self, name: str) -> str:
        """SHA-256 of a file, 64 hex digits.

        Raises:
            OSError: As `read`.
        """
        ...


class FolderSource:
    """Files in a folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = (
            f"{folder}/"  # a check asks for ten thousand files, and paths are slow to make
        )

    def path(self, name: str) -> Path:
        """The file's own path."""
        return self._folder / name

    def names(self) -> Iterator[str]:
        """Every file below the folder, and every link, whatever it leads to."""
        for parent, folders, names in os.walk(self._folder):
            links = (name for name in folders if os.path.islink(f"{parent}/{name}"))  # noqa: PTH114
            inside = f"{parent}/"[len(self._prefix) :]
            yield from (inside + name for name in (*names, *links))

    def size(self, name: str) -> int | None:
        """As the file system says; what it does not lead to, as a link in a circle, is not here."""
        try:
            found = os.stat(self._prefix + name)  # noqa: PTH116
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, part: slice = WHOLE) -> bytes:
        """No more of the file than the part."""
        with open_file(self._prefix + name) as file:
            start, stop, _ = part.indices(os.fstat(file.fileno()).st_size)
            file.seek(start)
            return file.read(stop - start)

    def hash(self, name: str) -> str:
        """Of the whole file, a part at a time."""
        return hash_file(self._prefix + name)


def check_file(source: Source, name: str, *, sha256: str, size: int) -> None:
    """Return where a file holds the bytes that its record says.

    Raises:
        CorruptionError: It does not, or is missing.
    """
    found, path = source.size(name), source.path(name)
    if found is None:
        raise CorruptionError(f"{path} is missing; its record lists it with {size} bytes")
    if found != size or source.hash(name) != sha256:
        raise CorruptionError(
            f"{path} has {found} bytes that are not the {size} bytes that were written"
        )
