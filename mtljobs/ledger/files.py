"""Files that are there whole or not at all, whatever the instruction at which a process dies."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from io import BufferedReader, UnsupportedOperation
from pathlib import Path
from typing import Any

from mtljobs.errors import CorruptionError

_UNFINISHED = ".aside"
"""End of the name of a file that is being written."""


def is_unfinished(path: Path) -> bool:
    """Whether a file was being written aside, by somebody who lives or was killed."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


def replace_file(path: Path, content: bytes, *, aside: Path | None = None) -> None:
    """Write a file so that a reader sees the old content or the new, also after a power cut.

    The unfinished file lies in the folder `aside`, on the same file system, or else hidden beside
    `path`; a kill may leave it there.
    """
    unfinished = _write_aside(path, content, aside=aside)
    unfinished.replace(path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Create a file with its content at once; False where the name is already taken.

    Of any number of processes that try, one gets True.
    """
    unfinished = _write_aside(path, content, aside=None)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        # A network file system may report our own link, sent twice, as somebody else's.
        return unfinished.stat().st_nlink > 1
    except OSError:
        return _create_without_links(path, content)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _write_aside(path: Path, content: bytes, *, aside: Path | None) -> Path:
    name = f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_UNFINISHED}"
    unfinished = (aside or path.parent) / name
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # half a file does not help a full disk
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished


def _create_without_links(path: Path, content: bytes) -> bool:
    # Where hard links are missing the name comes before the content, so a kill in between leaves
    # an empty file: readers of exclusively created files bear with that.
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def open_file(path: Path | str) -> BufferedReader:
    """A regular file, open to be read; nothing else that has its name is waited for.

    A FIFO in its place would be, for ever, by whoever opens it in the usual way.

    Raises:
        UnsupportedOperation: It is something else, and so both an OSError and a ValueError, as
            other content that makes no sense.
        OSError: It is not there, or cannot be read.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # which `open` refuses itself
        return descriptor
    os.close(descriptor)
    raise UnsupportedOperation(errno.EINVAL, "No regular file", path)


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder, as far as one may look: `Path.is_dir` raises beyond."""
    return os.path.isdir(path)  # noqa: PTH112


def read_file(path: Path | str) -> bytes:
    """What a regular file holds.

    Raises:
        OSError: As `open_file`.
    """
    with open_file(path) as file:
        return file.read()


def to_json(value: Any) -> bytes:
    """A value as JSON text, the same bytes for the same value."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        CorruptionError: It is not JSON.
        OSError: As `open_file`.
    """
    try:
        return json.loads(read_file(path))
    except ValueError as error:
        raise CorruptionError(
            f"{path} is not the JSON that was written there ({error}). Move the file away; what it "
            "stood for counts as not done and is computed again."
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make every file below a folder, and their names, survive a power cut."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            with Path(parent, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it; somebody else may be doing the same.

    What somebody puts there meanwhile stays, and so does what a link leads to.
    """
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
    while folder.is_dir():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            return


def hash_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
