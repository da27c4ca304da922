"""The folder of a box: made, filled, and handed over to a keeper."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testbed.config import Layout
from testbed.keeper import clear_left_behind
from testbed.machine import PATH, plain_environment, wait_until

# Not below /tmp: the name is known in advance, and root writes here.
ROOT = Path("/run/mtljobs-testbed")


@contextlib.contextmanager
def new_folder() -> Iterator[tuple[Path, int]]:
    """An empty folder and its lock, which is held while the folder is in use."""
    ROOT.mkdir(mode=0o755, exist_ok=True)
    with (ROOT / "lock").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        clear_left_behind(ROOT)
        folder = Path(tempfile.mkdtemp(dir=ROOT))
        lock = (folder / "lock").open("a")
        fcntl.flock(lock, fcntl.LOCK_EX)
    with lock:
        yield folder, lock.fileno()


def prepare(folder: Path, layout: Layout) -> None:
    """Write and create all that the daemons want to find."""
    folder.chmod(0o755)  # the user must reach munge's socket, slurm.conf and its home
    layout.write(folder)
    for name in ("log", "state", "munge", "home", *(f"spool/{node}" for node in layout.nodes)):
        (folder / name).mkdir(parents=True)
    os.mkfifo(folder / "requests", 0o600)
    _add_user(layout.user, folder / "home")
    key = folder / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(64))
    for path in (key.parent, key):
        shutil.chown(path, "munge", "munge")


def _add_user(name: str, home: Path) -> None:
    command = ["useradd", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/bash", name]

    def is_added() -> bool:
        # While another box changes the list of users, it is locked.
        return subprocess.run(command, check=False, env={"PATH": PATH}).returncode == 0

    wait_until(is_added, f"{' '.join(command)} to succeed", timeout_s=10)
    shutil.chown(home, name, name)


def start_keeper(folder: Path, lock: int, layout: Layout) -> subprocess.Popen[bytes]:
    """The process that runs the daemons, and clears the folder at its end.

    Args:
        folder: As `prepare` left it.
        lock: Of the folder; the keeper's from now on.
        layout: Says whether the box ends with this process.
    """
    script = Path(__file__).with_name("keeper.py")
    owner: list[str] = [] if layout.detached else [str(os.getpid())]
    with (folder / "log" / "keeper").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", str(script), str(folder), *owner],
            env={**plain_environment(), "PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )
