"""Whether the process that wrote a file still runs: who it was, and when it last gave a sign."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SILENCE_LIMIT_S = 300.0
"""A file that its living owner renews each minute, and that is older than this, has none."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, told apart from every other on any host, before or after a reboot.

    Attributes:
        host: Name of the node.
        boot_id: Of the kernel that runs it; empty where the system does not say.
        pid_namespace: In which `pid` is counted; containers may have their own.
        pid: Number of the process.
        started: Clock ticks from boot to its start, as pids are used again.
        job: Slurm's job id; None outside Slurm.
        restarts: How often Slurm had requeued the job when the process began.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: str
    job: str | None
    restarts: int

    @classmethod
    def current(cls) -> ProcessIdentity:
        """The process that asks."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot_id=_read("/proc/sys/kernel/random/boot_id").strip(),
            pid_namespace=_pid_namespace(),
            pid=pid,
            started=_start_of(pid) or "",
            job=os.environ.get("SLURM_JOB_ID"),
            restarts=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        )

    @classmethod
    def from_json(cls, values: Any) -> ProcessIdentity | None:
        """The identity that `to_json` wrote; None where it is not one."""
        try:
            return cls(**values)
        except TypeError:
            return None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def is_gone(self) -> bool:
        """Whether the process has certainly ended.

        False says nothing: on another host, or in another container, only silence tells.
        """
        is_ours = self.job is not None and self.job == os.environ.get("SLURM_JOB_ID")
        if is_ours and self.restarts < int(os.environ.get("SLURM_RESTART_COUNT", "0")):
            return True  # Slurm runs a job once at a time: this process is its successor.
        return self._is_local() and _start_of(self.pid) != self.started

    def is_here(self) -> bool:
        """Whether the process certainly runs, on this host: a signal to its pid reaches it."""
        return self._is_local() and _start_of(self.pid) == self.started

    def _is_local(self) -> bool:
        if not self.boot_id or self.host != socket.gethostname():
            return False
        here = ProcessIdentity.current()
        return (self.boot_id, self.pid_namespace) == (here.boot_id, here.pid_namespace)


def is_over(process: ProcessIdentity | None, *, last_sign: float) -> bool:
    """Whether the writer of a file has ended, as far as anybody can tell from here.

    Silence ends what cannot be seen: a process of this host that was merely suspended lives on.

    Args:
        process: None where the file does not say.
        last_sign: Seconds since 1970.
    """
    is_silent = time.time() - last_sign > SILENCE_LIMIT_S
    if process is None:
        return is_silent
    return process.is_gone() or (is_silent and not process.is_here())


def _start_of(pid: int) -> str | None:
    """When a process began, in ticks since boot; None where it has ended."""
    status = _read(f"/proc/{pid}/stat")
    # The second field is the program's name in brackets and may itself hold brackets and blanks.
    fields = status.rpartition(")")[2].split()
    if not fields or fields[0] in "ZX":
        return None
    return fields[19]  # Field 22 of proc(5); the first two are cut off.


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
