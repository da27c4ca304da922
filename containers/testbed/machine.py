"""What this machine offers a box: its commands, and a clean environment to run them in."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Literal

# Debian keeps daemons where not every PATH looks.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATH = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"
COMMANDS = {
    "slurm": ("munged", "slurmctld", "slurmd", "sbatch", "useradd", "userdel"),
    "apptainer": ("apptainer", "mmdebstrap", "mksquashfs", "squashfuse_ll", "newuidmap"),
}


class BoxError(Exception):
    """The box cannot run here, or did not do what it was asked."""


def why_not(needed: Literal["slurm", "apptainer"] = "slurm") -> str | None:
    """Why the test bed cannot run on this machine; None if it can."""
    if os.geteuid() != 0:
        return "the test bed needs root, for a Slurm with users of its own"
    missing = [name for name in COMMANDS[needed] if shutil.which(name, path=PATH) is None]
    if missing:
        return f"{', '.join(missing)} not found: run containers/testbed/install.sh"
    return None


def plain_environment() -> dict[str, str]:
    """This process's, less what a job or another cluster has left there."""
    foreign = ("SLURM_", "SBATCH_", "SQUEUE_", "SRUN_", "SINFO_", "SACCT_", "SCANCEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def wait_until(
    holds: Callable[[], bool],
    what: str,
    *,
    timeout_s: float,
    otherwise: Callable[[], str] = str,
) -> None:
    """Wait for something to become true.

    Args:
        holds: Asked ten times a second.
        what: Named if it does not.
        timeout_s: For so long.
        otherwise: Says what is known if it does not.

    Raises:
        BoxError: It did not.
    """
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise BoxError(f"Waited {timeout_s:g} s for {what}. {otherwise()}".rstrip())
        time.sleep(0.1)
