"""Copies on a node's own disk, made once for all jobs of the user there."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtljobs.cluster.payload import STOPS

SPARE = 0.05
"""Part of a disk's free room that is left to others."""
LOOK_S = 0.5
"""Between two looks at whether another job has finished the copy."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems whose files take memory of the job: a copy there may end it."""

_log = logging.getLogger("mtljobs.supervisor")


def near_copy(original: Path, scratch: str) -> Path:
    """A copy of a file or folder on the node's scratch; the original where that cannot be.

    Copies are kept, by path, size and time of change of the original: the node's own cleaning
    removes them. A copy is whole as soon as it has its name, whoever is killed meanwhile.

    Args:
        original: What many jobs read.
        scratch: Folder of the node, with variables of the job, as in "$TMPDIR".
    """
    try:
        place = _own_folder(_expand(scratch))
        seen = _look(original)
        copy = place / f"{seen.name}-{original.name}"
        with _locked(place / f"{seen.name}.lock"):
            if not copy.exists():
                _make(original, copy, seen)
            copy.stat()  # is it there now?
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else error
        _log.info("%s is used where it lies: %s", original, why)
        return original
    return copy


@dataclass(frozen=True)
class _Look:
    """What tells one state of a file or folder from the next.

    Attributes:
        name: Differs between any two.
        size: In bytes.
    """

    name: str
    size: int


def _look(original: Path) -> _Look:
    digest, size = hashlib.sha256(os.fsencode(original.resolve())), 0
    for path in _files(original):
        status = path.stat()
        size += status.st_size
        relative = path.relative_to(original)
        digest.update(f"{relative}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return _Look(digest.hexdigest()[:16], size)


def _files(original: Path) -> Iterator[Path]:
    if not original.is_dir():
        yield original
        return
    for parent, folders, names in os.walk(original, onerror=_raise):
        folders.sort()
        if any(Path(parent, name).is_symlink() for name in folders):
            raise OSError(f"{parent} holds a link to a folder")
        yield from (Path(parent, name) for name in sorted(names))


def _raise(error: OSError) -> None:
    raise error


def _expand(scratch: str) -> Path:
    place = os.path.expandvars(scratch)
    if "$" in place or not Path(place).is_absolute():
        raise OSError(f"the scratch folder {scratch!r} is not set on this node")
    return Path(place)


def _own_folder(scratch: Path) -> Path:
    """The user's folder on the scratch, which nobody else may have prepared."""
    kind = _file_system(scratch)
    if kind in IN_MEMORY:
        raise OSError(f"{scratch} is memory ({kind}), not a disk")
    folder = scratch / f"mtljobs-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise OSError(f"{folder} is not a private folder of this user")
    return folder


def _file_system(folder: Path) -> str:
    """Kind of the file system that a folder lies in; empty where the system does not say."""
    resolved = folder.resolve(strict=True)
    found: dict[int, str] = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mounted, kind, *_ = line.split(" ")
        place = Path(mounted.replace("\\040", " "))
        if resolved.is_relative_to(place):
            found[len(place.parts)] = kind  # of two in one place the later one is on top
    return found[max(found)] if found else ""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While inside, no other job of the node copies this; the kernel unlocks for who was killed."""
    with path.open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _stop_if_told()
                time.sleep(LOOK_S)
            else:
                break
        yield


def _make(original: Path, copy: Path, seen: _Look) -> None:
    free = shutil.disk_usage(copy.parent).free
    if free * (1 - SPARE) < seen.size:
        raise OSError(f"{copy.parent} has {free / 1e9:.1f} GB left, {seen.size / 1e9:.1f} needed")
    unfinished = copy.with_name(f"{copy.name}.part")
    _remove(unfinished)  # a killed copier's
    try:
        for path in _files(original):
            target = unfinished / path.relative_to(original) if path != original else unfinished
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(path, target)
        if _look(original) == seen:  # else it was written to meanwhile
            unfinished.rename(copy)
            _log.info("%s was copied to %s", original, copy)
    finally:
        _remove(unfinished)


def _copy_file(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("xb") as file:
        while piece := source.read(1 << 24):
            _stop_if_told()
            file.write(piece)
    shutil.copystat(path, target)


def _stop_if_told() -> None:
    """A job that is about to end has no time for copies: its signals wait to be heard."""
    if signal.sigpending() & STOPS:
        raise InterruptedError("the job was told to stop")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
