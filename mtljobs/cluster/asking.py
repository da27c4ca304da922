"""Asking a command of the system something: an answer, or why there is none, and never a hang."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ANSWER_S = 20.0
"""How long an answer is waited for: a busy controller takes seconds."""
LEAKING = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SCANCEL_", "PMIX_")
"""Variables of an allocation that we may be in, and options that would override ours."""
KEPT = frozenset(
    {"SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_CONSTRAINT", "SBATCH_PARTITION", "SBATCH_QOS"}
)
"""Where this cluster is, and where on it the user wants jobs to run."""
OF_A_JOB = frozenset(
    {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "TMPDIR"}
)
"""What Slurm and its prologs set in a job, and is of no use on the node of another."""


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        text: What it printed.
        problem: What went wrong, in its words; None where nothing did.
        aside: What it printed for people, on standard error.
    """

    text: str
    problem: str | None = None
    aside: str = ""


def ask(*command: str, timeout_s: float = ANSWER_S) -> Answer:
    """The answer of a command that does not know of any allocation that we may be in."""
    try:
        with clean_environment():
            done = subprocess.run(  # noqa: S603 (the system's commands, no shell)
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
            )
    except subprocess.TimeoutExpired:
        return Answer("", f"`{command[0]}` did not answer within {timeout_s:g} s")
    except OSError as error:
        return Answer("", f"`{command[0]}` cannot be run: {error.strerror}")
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}"
        return Answer(done.stdout, f"`{command[0]}`: {' '.join(said.split())}", done.stderr)
    return Answer(done.stdout, aside=done.stderr)


@contextmanager
def clean_environment() -> Iterator[None]:
    """While inside, no variable of an allocation reaches Slurm's commands or a job."""
    of_a_job = OF_A_JOB if "SLURM_JOB_ID" in os.environ else frozenset()
    leaking = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(LEAKING) and name not in KEPT) or name in of_a_job
    }
    for name in leaking:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(leaking)
