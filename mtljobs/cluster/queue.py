"""Slurm's queue: what waits or runs there of a run, how much more it takes, and a way to take back.

A job is known by the folder that it was submitted from, whose marker names the shard of each index.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtljobs.cluster.asking import ask
from mtljobs.cluster.marker import SWEEP, find_submissions
from mtljobs.cluster.runs import run_workspace
from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import read_json, replace_file
from mtljobs.ledger.paths import RunFolder, create_folder

RARELY_S = 30.0
"""How old an answer may be that is only shown: sites count the questions that their users ask."""
ANSWER_S = 60.0
"""How long an answer is waited for, which decides what is submitted."""


@dataclass(frozen=True)
class Queue:
    """What Slurm has of a run, and of its user in all.

    Attributes:
        shards: Name of a shard that waits or runs -> id of its job or array.
        sweeps: Ids of the sweeps that wait or run.
        unfinished: Folder of a submission that was killed before it knew its job -> the job's id.
        late: Ids of jobs of such submissions whose shards somebody has submitted again meanwhile.
        running: `SLURM_JOB_ID` of every job and element of the user, of any run.
        size: How many these are.
    """

    shards: Mapping[str, str] = field(default_factory=dict)
    sweeps: tuple[str, ...] = ()
    unfinished: Mapping[Path, str] = field(default_factory=dict)
    late: tuple[str, ...] = ()
    running: frozenset[str] = frozenset()
    size: int = 0

    @property
    def jobs(self) -> list[str]:
        """Ids of the run's jobs and arrays: sweeps, which could submit more, come first."""
        return [*self.sweeps, *sorted({*self.shards.values(), *self.late}, key=int)]


@dataclass(frozen=True)
class Limits:
    """What this cluster's configuration allows.

    Attributes:
        array: Elements of an array.
        jobs: That may be in the queue, of all users together; each element counts.
    """

    array: int
    jobs: int


def read_queue(run: RunFolder, *, max_age_s: float = 0.0) -> Queue:
    """What is in the queue of a run; one question answers for all runs of a workspace.

    Args:
        max_age_s: An earlier answer does, if it is not older.

    Raises:
        UserError: The queue does not answer.
    """
    submissions = find_submissions(run)
    # Who submits wants to know how full the queue is of others; who only looks does not.
    if (max_age_s and not submissions) or shutil.which("squeue") is None:
        return Queue()
    # A job without a script has no third column.
    lines = [(line + "  ").split(" ", 2) for line in _ask_queue(run, max_age_s).splitlines()]
    scripts: dict[str, list[str]] = {}
    for element, _, script in lines:
        scripts.setdefault(script.strip(), []).append(element)
    elements: dict[Path, list[str]] = {}
    for script, own in scripts.items():  # thousands of elements have one script
        elements.setdefault(Path(script).parent.resolve(), []).extend(own)
    found = [(folder, submissions[folder]) for folder in elements if folder in submissions]
    shards: dict[str, str] = {}
    sweeps, late = [], []
    unfinished = {}
    for folder, marker in sorted(found, key=lambda item: item[1].job is None):
        job = elements[folder][0].partition("_")[0]
        if marker.job is None and shards.keys() & {*marker.shards}:
            late.append(job)
            continue
        if marker.job is None:
            unfinished[folder] = job
        if marker.stage == SWEEP:
            sweeps.append(job)
        for element in elements[folder] if marker.shards else ():
            shards[marker.shards[int(element.partition("_")[2] or 0)]] = job
    running = frozenset(number for _, number, _ in lines)
    return Queue(shards, tuple(sweeps), unfinished, tuple(late), running, len(lines))


def cancel_jobs(run: RunFolder) -> list[str]:
    """Take a run's jobs from the queue; those that run write a checkpoint and end.

    Returns:
        Ids of the jobs and arrays.
    """
    taken: list[str] = []
    if not find_submissions(run):
        return taken
    while jobs := [job for job in read_queue(run).jobs if job not in taken]:
        _ask("scancel", *jobs)
        taken += jobs
        time.sleep(1)  # until no sweep is left that was submitting just then
    return taken


def cancel(*jobs: str) -> None:
    """Take jobs, arrays or elements from the queue."""
    if jobs:
        _ask("scancel", *jobs)


def read_limits() -> Limits:
    """How much this cluster takes.

    Raises:
        UserError: Slurm does not answer.
    """
    known = {"MaxArraySize": 1, "MaxJobCount": 10_000}
    for line in _ask("scontrol", "show", "config").splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name in known and value.isdecimal():
            known[name] = int(value)
    return Limits(array=max(1, known["MaxArraySize"]), jobs=known["MaxJobCount"])


def _ask_queue(run: RunFolder, max_age_s: float) -> str:
    """A line for each of the user's jobs and elements: how Slurm shows it, its id, its script."""
    path = run_workspace(run).shared / f"queue-{os.getuid()}.json"
    if max_age_s:
        try:
            answer = read_json(path)
            if 0 <= time.time() - float(answer["asked"]) <= max_age_s:
                return str(answer["text"])
        except (FileNotFoundError, CorruptionError, KeyError, TypeError):
            pass
    else:
        path.unlink(missing_ok=True)  # who asks anew is about to change the queue
    asked = time.time()
    text = _ask("squeue", "--me", "--noheader", "--array", "--format=%i %A %o")
    if max_age_s:
        create_folder(path.parent)
        replace_file(path, json.dumps({"asked": asked, "text": text}).encode())
    return text


def _ask(*command: str) -> str:
    """What a command of Slurm prints, which must not fail."""
    answer = ask(*command, timeout_s=ANSWER_S)
    if answer.problem is not None:
        raise UserError(f"{answer.problem}. Try again when Slurm answers.")
    return answer.text
