"""Whether a file system keeps the promises that the ledger rests on, and has room.

Each check gets a folder of its own to try things in; nothing stays there.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtljobs.cluster.asking import ask
from mtljobs.cluster.finding import Finding, ok, problem, warning
from mtljobs.ledger.files import sync_folder
from mtljobs.settings.profile import Profile

SKEW_S = 30.0
"""A tenth of the silence after which an attempt counts as vanished."""
SMALL_FILES = 20
SLOW_S = 0.25
"""Per small file, written, synced and renamed: a shard writes a handful a minute."""
ROOM_GB = 20
INODES = 100_000
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@contextmanager
def trial_folder(workspace: Path) -> Iterator[Path]:
    """An empty folder where the workspace lies, or would; gone afterwards.

    Raises:
        OSError: Nothing can be written there.
    """
    with tempfile.TemporaryDirectory(prefix=".mtljobs-doctor-", dir=existing(workspace)) as folder:
        yield Path(folder)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one around it that there is."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def check_rename(trial: Path) -> Finding:
    """A rename onto a file replaces it: how everything is committed."""
    old, new = trial / "old", trial / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    new.replace(old)
    if old.read_bytes() != b"new" or new.exists():
        return problem("rename", "does not replace a file", "choose another --workspace")
    return ok("rename", "replaces a file at once")


def check_exclusive(trial: Path) -> Finding:
    """Of two that create a name only one succeeds: how attempts are numbered and claims made."""
    (trial / "name").touch(exist_ok=False)
    try:
        (trial / "name").touch(exist_ok=False)
    except FileExistsError:
        pass
    else:
        return problem("exclusive create", "two may have one name", "choose another --workspace")
    try:
        (trial / "link").hardlink_to(trial / "name")
    except OSError:
        return warning(
            "exclusive create",
            "works, but there are no hard links",
            "a kill between two instructions may leave an empty file, which is read as a dead one",
        )
    return ok("exclusive create", "works, hard links too")


def check_sync(trial: Path) -> Finding:
    """What was committed survives a power cut of the file server."""
    try:
        sync_folder(trial)
    except OSError as error:
        return problem(
            "fsync of a folder", f"refused: {error.strerror}", "choose another --workspace"
        )
    return ok("fsync of a folder", "works")


def check_clock(trial: Path) -> Finding:
    """Whether the file server's clock is ours: heartbeats are told by the times of files."""
    before = time.time()
    (trial / "clock").touch()
    written = (trial / "clock").stat().st_mtime
    skew = max(before - 1 - written, written - time.time() - 1, 0.0)
    if skew > SKEW_S:
        return problem(
            "clock",
            f"the file server's is {skew:.0f} s off this machine's",
            "tell the site: attempts that live would count as vanished",
        )
    return ok("clock", f"file server and this machine agree within {skew + 1:.0f} s")


def check_latency(trial: Path) -> Finding:
    """How long one small file takes, written so that it survives."""
    start = time.perf_counter()
    for number in range(SMALL_FILES):
        aside = trial / f".{number}"
        with aside.open("wb") as file:
            file.write(b"x" * 1000)
            os.fsync(file.fileno())
        aside.replace(trial / str(number))
    each_s = (time.perf_counter() - start) / SMALL_FILES
    found = f"{1000 * each_s:.1f} ms for a small file"
    if each_s > SLOW_S:
        return warning("latency", found, "choose a faster file system, or wait until it is idle")
    return ok("latency", found)


def check_kind(trial: Path) -> Finding:
    """What file system it is."""
    kind, server = find_file_system(trial)
    if kind in IN_MEMORY:
        return warning("file system", f"{kind}, in memory", "choose a --workspace that stays")
    return ok("file system", f"{kind} ({server})")


def check_room(trial: Path) -> Finding:
    """Free bytes and inodes of the file system; a quota may be less."""
    free = os.statvfs(trial)
    gigabytes, inodes = free.f_bavail * free.f_frsize / 1e9, free.f_favail
    # Some file systems have as many inodes as they like, and say 0.
    few = free.f_files > 0 and inodes < INODES
    found = f"{gigabytes:,.0f} GB and {inodes if free.f_files else 'any number of'} inodes free"
    if gigabytes < ROOM_GB or few:
        return warning("room", found, "make room, or choose another --workspace")
    return ok("room", found)


def check_quota() -> Finding | None:
    """What `quota` says, where it says anything."""
    if shutil.which("quota") is None:
        return None
    answer = ask("quota", "-s")
    if not answer.text.strip():
        return ok("quota", "`quota` knows of none of yours")
    last = answer.text.strip().splitlines()[-1]
    if "*" in last:
        return problem("quota", f"exceeded: {' '.join(last.split())}", "make room first")
    return ok("quota", " ".join(last.split()))


def check_privacy(workspace: Path, profile: Profile) -> Finding:
    """Whether somebody else could change what jobs will run."""
    open_places = [
        place
        for place in (workspace, *workspace.parents)
        if place.is_dir() and _is_writable_by_all(place.stat().st_mode)
    ]
    if open_places:
        return problem(
            "privacy",
            f"everybody may write to {open_places[0]}",
            "choose another --workspace: plans and pickles there are code that your jobs run",
        )
    if not int(profile.umask, 8) & 0o002:
        return problem("privacy", f"umask {profile.umask!r} lets everybody write", "set 077 or 007")
    if not int(profile.umask, 8) & 0o020:
        return ok("privacy", "your group may write, nobody else")
    return ok("privacy", "only you may write")


def check_scratch(profile: Profile) -> Finding | None:
    """What the profile's scratch is here; in a job it may be another place."""
    if profile.scratch is None:
        return None
    place = Path(os.path.expandvars(profile.scratch))
    if "$" in str(place):
        return ok("scratch", f"{profile.scratch} is not set here; the drill looks in a job")
    if not os.access(place, os.W_OK):
        return ok("scratch", f"{place} cannot be written here; the drill looks in a job")
    kind, _ = find_file_system(place)
    free = shutil.disk_usage(place).free / 1e9
    return ok("scratch", f"here {place}, {kind}, {free:,.0f} GB free; the drill looks in a job")


def find_file_system(place: Path) -> tuple[str, str]:
    """Kind and source of the file system that a place lies on."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    around = {
        Path(target.encode().decode("unicode_escape")): (kind, source)
        for source, target, kind, *_ in mounts
    }
    whole = place.resolve()
    return next((around[p] for p in (whole, *whole.parents) if p in around), ("unknown", "unknown"))


def _is_writable_by_all(mode: int) -> bool:
    # In a sticky folder, such as /tmp, nobody removes or renames what is another's.
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
