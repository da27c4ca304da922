"""A file that says at its end which bytes it has.

Its last line is `sha256`, a space and 64 hex digits: of all bytes before it, and before the line
break that it stands behind. Readers of HDF5 take no notice of what follows the part of a file that
they know. Without this project, `head -c -73 FILE | sha256sum` gives the same digits.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mtljobs.ledger.files import hash_file, open_file

LENGTH = len(b"\nsha256 ") + 64 + len(b"\n")

_READ_AT_ONCE = 2**20


def seal(path: Path) -> None:
    """End a file with its SHA-256, and make it survive a power cut."""
    line = _line(hash_file(path))
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def is_sealed(path: Path) -> bool:
    """Whether a file can be read, and ends with the SHA-256 of what it holds."""
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            left = path.stat().st_size - LENGTH
            while left > 0 and (part := file.read(min(left, _READ_AT_ONCE))):
                digest.update(part)
                left -= len(part)
            return file.read() == _line(digest.hexdigest())
    except OSError:
        return False


def _line(sha256: str) -> bytes:
    return f"\nsha256 {sha256}\n".encode()
