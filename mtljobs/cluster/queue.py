"""Slurm's queue: what waits or runs there of a run, and a way to take it back.

A job is known by the folder that it was submitted from, whose marker names the shard of each index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtljobs.cluster.marker import find_submissions
from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder

LEAKING = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SCANCEL_", "PMIX_")
"""Variables of an allocation that we may be in, and options that would override ours."""
KEPT = frozenset(
    {"SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_CONSTRAINT", "SBATCH_PARTITION", "SBATCH_QOS"}
)
"""Where this cluster is, and where on it the user wants jobs to run."""


def find_jobs(run: RunFolder) -> dict[str, str]:
    """The id of the job, or of the array, in which a shard waits or runs, by name of the shard.

    Raises:
        UserError: The queue does not answer.
    """
    submissions = find_submissions(run)
    if not submissions or shutil.which("squeue") is None:
        return {}
    jobs = {}
    for line in _ask("squeue", "--me", "--noheader", "--array", "--format=%i %o").splitlines():
        element, _, script = line.strip().partition(" ")
        job, _, index = element.partition("_")
        marker = submissions.get(Path(script).parent.resolve())
        if marker is not None:
            jobs[marker.shards[int(index or 0)]] = job
    return jobs


def cancel_jobs(run: RunFolder) -> list[str]:
    """Take a run's jobs from the queue; those that run write a checkpoint and end.

    Returns:
        Ids of the jobs and arrays.
    """
    jobs = sorted(set(find_jobs(run).values()), key=int)
    if jobs:
        _ask("scancel", *jobs)
    return jobs


def read_max_array_size() -> int:
    """How many elements an array of this cluster may have.

    Raises:
        UserError: Slurm does not answer.
    """
    for line in _ask("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize":
            return max(1, int(value))
    return 1


def _ask(*command: str) -> str:
    """What a command of Slurm prints."""
    with clean_environment():
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if answer.returncode:
        raise UserError(
            f"`{command[0]}` failed: {answer.stderr.strip()}. Try again when Slurm answers."
        )
    return answer.stdout


@contextmanager
def clean_environment() -> Iterator[None]:
    """While inside, no variable of an allocation reaches Slurm's commands or a job."""
    leaking = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(LEAKING) and name not in KEPT
    }
    for name in leaking:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(leaking)
