"""The process that a box lives and dies with: `python keeper.py FOLDER [OWNER]`.

It starts the daemons that `daemons.json` names, and inherits whatever they leave behind: steps and
jobs detach themselves, but a subreaper stays their ancestor. So once it is told to stop, or its
owner (the test process) is gone, however that ended, nothing of the box runs on. It holds a lock
for as long as it lives: a folder whose lock is free was left behind, and `clear` may have it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CGROUPS = Path("/sys/fs/cgroup/memory")


class Keeper:
    """Starts daemons on request, and notes which of them run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons = json.loads((folder / "daemons.json").read_text())
        self.running: dict[int, str] = {}

    def start(self, name: str) -> None:
        """Start a daemon that does not run; its output goes to its log."""
        if name in self.running.values():
            return
        daemon = self.daemons[name]
        with (self.folder / "log" / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                daemon["command"],
                user=daemon["user"],
                group=daemon["user"],
                extra_groups=[],
                cwd=self.folder,
                env={**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (this process has one thread)
            )
        self.running[process.pid] = name
        self._note()

    def reap(self) -> None:
        """Take note of every child that has ended: a daemon, or what jobs left behind."""
        for pid in _reap():
            self.running.pop(pid, None)
        self._note()

    def _note(self) -> None:
        aside = self.folder / "running.json.part"
        aside.write_text(json.dumps({name: pid for pid, name in self.running.items()}))
        aside.replace(self.folder / "running.json")


def keep(folder: Path, owner: int | None) -> None:
    """Serve requests until told to stop or until the owner is gone; then clear everything."""
    woken = _wake_on_signals()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Opened for writing too, so that it never ends while nobody writes.
    requests = os.open(folder / "requests", os.O_RDWR | os.O_NONBLOCK)
    watched = [woken.fileno(), requests]
    try:
        if owner is not None:
            watched.append(os.pidfd_open(owner))
        _serve(folder, woken, requests, watched)
    except ProcessLookupError:
        pass  # the owner died before its box came up
    finally:
        while _kill(_descendants({os.getpid()})):
            _reap()
        clear(folder)


def _serve(folder: Path, woken: socket.socket, requests: int, watched: list[int]) -> None:
    keeper = Keeper(folder)
    (folder / "keeper.pid").write_text(str(os.getpid()))
    while True:
        ready, _, _ = select.select(watched, [], [])
        if woken.fileno() in ready:
            if {signal.SIGTERM, signal.SIGINT} & set(woken.recv(4096)):
                return
            keeper.reap()
        elif requests in ready:
            for name in os.read(requests, 4096).decode().split():
                keeper.start(name)
        else:
            return  # the owner's end


def _wake_on_signals() -> socket.socket:
    """Where the number of each signal that comes in can be read."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.detach())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return woken


def clear(folder: Path) -> None:
    """Leave nothing of a box: no process, mount, cgroup, user, file.

    Safe to repeat after any interruption: the folder, which names the rest, goes last. Any process
    may call it: it touches no children but those of the box.
    """
    while _kill(_strays(folder) - _ancestors()):
        pass
    for mount in _mounts_below(folder):
        subprocess.run(["umount", "--lazy", mount], check=False)
    with contextlib.suppress(FileNotFoundError):
        box = json.loads((folder / "box.json").read_text())
        _remove_cgroups(box["nodes"], box["first_job"])
        _remove_user(box["user"])
    if not _mounts_below(folder):  # never delete through a mount what is somebody else's
        shutil.rmtree(folder, ignore_errors=True)


def clear_left_behind(root: Path) -> None:
    """Clear every box below `root` whose keeper was killed, or never came to life."""
    for folder in root.glob("*/"):
        with contextlib.suppress(OSError), (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(folder)


def _kill(pids: set[int]) -> bool:
    """Kill these, and say whether there were any."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.02 if pids else 0)
    return bool(pids)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reap() -> list[int]:
    """Children that have ended since the last time."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.append(pid)
    return ended


def _processes() -> dict[int, int]:
    """Of each process, its parent."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name in brackets may hold anything, brackets and spaces too.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    return parents


def _descendants(roots: set[int]) -> set[int]:
    parents = _processes()
    found: set[int] = set()
    grown = roots
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def _ancestors() -> set[int]:
    """This process and those that it hangs on: never to be killed."""
    parents, pid, found = _processes(), os.getpid(), set[int]()
    while pid:
        found.add(pid)
        pid = parents.get(pid, 0)
    return found


def _strays(folder: Path) -> set[int]:
    """Processes of a box that may have lost its keeper, and whatever descends from them.

    Daemons and steps are known by their logs, jobs by their environment.
    """
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    found = set()
    for pid in _processes():
        entry = Path("/proc", str(pid))
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            is_job = mark in environment and any(
                v.startswith(b"SLURM_JOB_ID=") for v in environment
            )
            if is_job or _is_daemon(entry, folder):
                found.add(pid)
    # Those that have ended already are their parents' to reap, not ours to wait for.
    return {pid for pid in found | _descendants(found) if Path(f"/proc/{pid}/exe").exists()}


def _is_daemon(process: Path, folder: Path) -> bool:
    if not (process / "exe").readlink().name.startswith(("munged", "slurm")):
        return False
    return any(
        descriptor.readlink().is_relative_to(folder / "log")
        for descriptor in (process / "fd").iterdir()
    )


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1].encode().decode("unicode_escape") for line in lines]
    # The innermost first.
    return [point for point in reversed(points) if Path(point).is_relative_to(folder)]


def _remove_cgroups(nodes: list[str], first_job: int) -> None:
    """Those of this box's jobs; what boxes share goes with the last of them."""
    for node in nodes:
        top = CGROUPS / f"slurm_{node}"
        jobs = [
            job
            for job in top.glob("uid_*/job_*")
            if first_job <= int(job.name.removeprefix("job_")) < first_job + JOBS_PER_BOX
        ]
        folders = [below for job in jobs for below in [*job.glob("**/"), job]]
        for folder in sorted({*folders, *top.glob("uid_*"), top}, reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_user(name: str) -> None:
    """Other boxes may change the list of users at the same time; then it is locked for a moment."""
    for _ in range(50):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            subprocess.run(["userdel", name], check=False, capture_output=True)
            time.sleep(0.1)
            continue
        return


JOBS_PER_BOX = 5_000

if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
