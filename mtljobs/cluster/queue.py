"""Slurm's queue: what waits or runs there of a run, how much more it takes, and a way to take back.

A job is known by the folder that it was submitted from, whose marker names the shard of each index.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Container, Mapping
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
COLUMNS = "%i|%A|%r|%o"
"""How Slurm shows a job or element, its id, why it waits, and its script, which comes last."""
HOLDS = ("held", "hold")
"""One of these is in each reason for which a job waits until somebody releases it."""
BY_SLURM = "launch failed"
"""And this where Slurm put it back on hold, as it could not start it on a node."""


@dataclass(frozen=True)
class Queue:
    """What Slurm has of a run, and of its user in all.

    Attributes:
        shards: Name of a shard that waits or runs -> id of its job or array.
        sweeps: Ids of the sweeps that wait or run.
        unfinished: Folder of a submission that was killed before it knew its job -> the job's id.
        late: Ids of jobs of such submissions whose shards somebody has submitted again meanwhile.
        held: Job or element of the run that waits to be released -> why, in Slurm's words.
        running: `SLURM_JOB_ID` of every job and element of the user, of any run.
        size: How many these are.
    """

    shards: Mapping[str, str] = field(default_factory=dict)
    sweeps: tuple[str, ...] = ()
    unfinished: Mapping[Path, str] = field(default_factory=dict)
    late: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    size: int = 0

    @property
    def jobs(self) -> list[str]:
        """Ids of the run's jobs and arrays: sweeps, which could submit more, come first."""
        return [*self.sweeps, *sorted({*self.shards.values(), *self.late}, key=int)]

    @property
    def stranded(self) -> list[str]:
        """Those of `held` that nobody wanted held: Slurm could not start them on a node."""
        return [job for job, reason in self.held.items() if BY_SLURM in reason.lower()]


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
    lines = [_Line(*line.split("|", 3)) for line in _ask_queue(run, max_age_s).splitlines()]
    found = _by_submission(lines, submissions)
    shards: dict[str, str] = {}
    sweeps, late = [], []
    unfinished = {}
    for folder in sorted(found, key=lambda folder: submissions[folder].job is None):
        marker, own = submissions[folder], found[folder]
        job = own[0].job
        if marker.job is None and shards.keys() & {*marker.shards}:
            late.append(job)
            continue
        if marker.job is None:
            unfinished[folder] = job
        if marker.stage == SWEEP:
            sweeps.append(job)
        for line in own if marker.shards else ():
            shards[marker.shards[line.index]] = job
    return Queue(
        shards,
        tuple(sweeps),
        unfinished,
        tuple(late),
        {line.element: line.reason for own in found.values() for line in own if line.is_held},
        frozenset(line.number for line in lines),
        len(lines),
    )


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


def release(*jobs: str) -> list[str]:
    """Let jobs or elements start that were held; those that Slurm let.

    One that has left the queue meanwhile, or that only an administrator may release, is no error.
    """
    asked = {job: ask("scontrol", "release", job, timeout_s=ANSWER_S) for job in jobs}
    return [job for job, answer in asked.items() if answer.problem is None]


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


@dataclass(frozen=True)
class _Line:
    """One job or element, by `COLUMNS`."""

    element: str
    number: str
    reason: str
    script: str

    @property
    def job(self) -> str:
        """The id that it was submitted as."""
        return self.element.partition("_")[0]

    @property
    def index(self) -> int:
        """Its index in the array; 0 where it is none."""
        return int(self.element.partition("_")[2] or 0)

    @property
    def is_held(self) -> bool:
        """Whether it waits until somebody releases it."""
        return any(word in self.reason.lower() for word in HOLDS)


def _by_submission(lines: list[_Line], submissions: Container[Path]) -> dict[Path, list[_Line]]:
    """Those of a run, by the folder that they were submitted from."""
    scripts: dict[str, list[_Line]] = {}
    for line in lines:
        scripts.setdefault(line.script, []).append(line)
    found: dict[Path, list[_Line]] = {}
    for script, own in scripts.items():  # thousands of elements have one script
        found.setdefault(Path(script).parent.resolve(), []).extend(own)
    return {folder: own for folder, own in found.items() if folder in submissions}


def _ask_queue(run: RunFolder, max_age_s: float) -> str:
    """A line of `COLUMNS` for each of the user's jobs and elements."""
    path = run_workspace(run).shared / f"queue-{os.getuid()}.json"
    if max_age_s:
        try:
            answer = read_json(path)
            is_new = 0 <= time.time() - float(answer["asked"]) <= max_age_s
            if is_new and answer["columns"] == COLUMNS:
                return str(answer["text"])
        except (FileNotFoundError, CorruptionError, KeyError, TypeError):
            pass
    else:
        path.unlink(missing_ok=True)  # who asks anew is about to change the queue
    asked = time.time()
    text = _ask("squeue", "--me", "--noheader", "--array", f"--format={COLUMNS}")
    if max_age_s:
        create_folder(path.parent)
        answer = {"asked": asked, "columns": COLUMNS, "text": text}
        replace_file(path, json.dumps(answer).encode())
    return text


def _ask(*command: str) -> str:
    """What a command of Slurm prints, which must not fail."""
    answer = ask(*command, timeout_s=ANSWER_S)
    if answer.problem is not None:
        raise UserError(f"{answer.problem}. Try again when Slurm answers.")
    return answer.text
