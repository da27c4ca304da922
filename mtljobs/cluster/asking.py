"""Asking a command of the system something: an answer, or why there is none, and never a hang."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from mtljobs.cluster.queue import clean_environment

ANSWER_S = 20.0
"""How long an answer is waited for: a busy controller takes seconds."""


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        text: What it printed.
        problem: What went wrong, in its words; None where nothing did.
    """

    text: str
    problem: str | None = None


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
        return Answer(done.stdout, f"`{command[0]}`: {' '.join(said.split())}")
    return Answer(done.stdout)
