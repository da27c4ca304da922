"""The one process that a job supervises: in a session of its own, told once, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

STOPS = frozenset({signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What tells a job to stop: SIGUSR2 is asked for with `--signal`, SIGTERM comes before the end."""

TOLD = signal.SIGUSR2
"""What the payload is told with, whatever came: submitit swallows SIGTERM while it loads."""

# Its input ends unread when the process that holds the other end was killed. The kernel could tell
# the payload itself (PR_SET_PDEATHSIG), but forgets to once that enters a container.
_GUARD = 'read -r over || kill -USR2 "$0"'


def block_signals() -> None:
    """Let signals wait until they are asked for, so that none comes between two instructions."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS | {signal.SIGCHLD})


def wait_for_stop(seconds: float) -> int | None:
    """The next signal that tells to stop; None where there is none for so long."""
    info = signal.sigtimedwait(STOPS, seconds)
    return None if info is None else info.si_signo


class Payload:
    """A process that was started; signals must be blocked before."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: There is no such program, or it cannot be run.
        """
        self._process = subprocess.Popen(  # noqa: S603 (no shell)
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_hear_again,  # noqa: PLW1509 (there is one thread)
        )
        self._guard = subprocess.Popen(  # noqa: S603 (a fixed script, and a number)
            ["/bin/sh", "-c", _GUARD, str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def tell(self) -> None:
        """Ask it to write a checkpoint and end. Only its first process: Apptainer passes it on."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(TOLD)

    def wait(self, hear: Callable[[int], None]) -> tuple[int | None, int | None]:
        """Wait for its end, and end what it left behind.

        Args:
            hear: Told the number of each signal that came meanwhile.

        Returns:
            Its exit code, or else the signal that ended it.
        """
        while not self._has_ended():
            number = signal.sigwaitinfo(STOPS | {signal.SIGCHLD}).si_signo
            if number != signal.SIGCHLD:
                hear(number)
        self._guard.communicate(b"over\n")
        # Before it is waited for, as until then nobody else gets its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return _split(self._process.wait())

    def _has_ended(self) -> bool:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None


def _split(code: int) -> tuple[int | None, int | None]:
    if code < 0:
        return None, -code
    if 128 < code < 128 + signal.NSIG:  # as shells and Apptainer say it
        return None, code - 128
    return code, None


def _hear_again() -> None:
    """In the child, before it becomes the program: signals act on it as on any other."""
    # A batch script ignores it, as its shell must outlive it; here it ends what cannot listen yet.
    signal.signal(TOLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
