"""What a running job asks Slurm about itself, and what it asks Slurm to do with it.

Each question may hang or be refused while the controller restarts: all have a time limit, and
whoever asks bears with no answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from mtljobs.cluster.asking import ask
from mtljobs.errors import UserError

_WORD = re.compile(r"(?:^|\s)([\w/:]+)=(\S*)")


@dataclass(frozen=True)
class Job:
    """This job, or this element of an array, as Slurm's commands want it named.

    Attributes:
        name: "123", or "120_3" in an array: one element of each array has the array's own number
            as its id, and by that number commands would mean all of them.
        array: Id of the array; None outside one.
        id: That no other job or element has.
        restarts: How often Slurm had requeued it when this process began.
    """

    name: str
    array: str | None
    id: str
    restarts: int

    @classmethod
    def current(cls, environment: Mapping[str, str]) -> Job:
        """The job whose environment this is.

        Raises:
            UserError: It is no job's.
        """
        number = environment.get("SLURM_JOB_ID")
        if number is None:
            raise UserError(
                "this is no job of Slurm, as $SLURM_JOB_ID is not set: `mtljobs submit` starts it."
            )
        array = environment.get("SLURM_ARRAY_JOB_ID")
        name = number if array is None else f"{array}_{environment['SLURM_ARRAY_TASK_ID']}"
        return cls(name, array, number, int(environment.get("SLURM_RESTART_COUNT", "0")))


@dataclass(frozen=True)
class JobView:
    """What the controller says of a job.

    Attributes:
        states: As "RUNNING"; while processes are being ended, "COMPLETING" is often all it says.
        reason: As "TimeLimit"; "None" where there is none.
        restarts: How often it was requeued.
        may_requeue: Whether it was submitted so that it can be.
        ends_at: When its time is over, or was; seconds since 1970, None where unlimited.
        is_preempted: Whether a preemption is under way.
    """

    states: frozenset[str]
    reason: str
    restarts: int
    may_requeue: bool
    ends_at: float | None
    is_preempted: bool

    @property
    def is_running(self) -> bool:
        """Whether nobody has decided yet what becomes of it."""
        return self.states == {"RUNNING"}


def describe(job: Job) -> JobView | None:
    """What the controller says of the job; None where it does not answer."""
    answer = ask("scontrol", "show", "job", "--oneliner", job.name)
    words = dict(_WORD.findall(answer.text))
    if answer.problem is not None or "JobState" not in words:
        return None
    return JobView(
        states=frozenset(re.split("[,+]", words["JobState"])),
        reason=words.get("Reason", "None"),
        restarts=int(words.get("Restarts", "0")),
        may_requeue=words.get("Requeue") != "0",
        ends_at=_time(words.get("EndTime", "Unknown")),
        is_preempted=_time(words.get("PreemptTime", "None")) is not None,
    )


def requeue(job: Job) -> str | None:
    """Put the running job back into the queue; why not, where Slurm does not.

    Of a job that has ended it would make a waiting one again, also of one that a user has
    cancelled: ask whether it runs before.
    """
    return ask("scontrol", "requeue", job.name).problem


def set_memory(job: Job, memory_gb: float) -> str | None:
    """Give a waiting job another limit of memory; why not, where Slurm refuses."""
    change = f"MinMemoryNode={round(memory_gb * 1024)}"
    return ask("scontrol", "update", f"JobId={job.name}", change).problem


def cancel_waiting(array: str) -> str | None:
    """Take the elements of an array from the queue that have not begun; why not, where refused."""
    return ask("scancel", "--state=PENDING", array).problem


def _time(text: str) -> float | None:
    """Seconds since 1970 of Slurm's local time; None for words such as "Unknown" and "None"."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
