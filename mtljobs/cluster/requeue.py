"""Giving a running job back to the queue, from the host."""

from __future__ import annotations

import logging

from mtljobs.cluster import slurmctl
from mtljobs.cluster.payload import wait_for_stop

TRIES = 5
"""How often Slurm is asked, where it does not answer."""
PAUSE_S = 5.0
"""Between two times."""

_log = logging.getLogger("mtljobs.supervisor")


def give_back(job: slurmctl.Job, *, memory_gb: float | None = None) -> str | None:
    """Requeue the job, unless Slurm or a user has decided already what becomes of it.

    Args:
        job: This one.
        memory_gb: What it shall have next time; None: as much as now.

    Returns:
        Why it will not run again, where that is so and nobody decided it.
    """
    problem: str | None = None
    for _ in range(TRIES):
        view = slurmctl.describe(job)
        if view is None:
            problem = "slurmctld does not answer"
        elif view.restarts > job.restarts or (view.is_running and view.may_requeue):
            problem = _requeue(job, view, memory_gb)
            if problem is None:
                return None
        else:
            return None if not view.is_running else "this job may not be requeued"
        wait_for_stop(PAUSE_S)
    return problem


def _requeue(job: slurmctl.Job, view: slurmctl.JobView, memory_gb: float | None) -> str | None:
    if view.restarts == job.restarts:
        # Not of a job that is ending: one that a user has cancelled would live again.
        problem = slurmctl.requeue(job)
        if problem is not None:
            return problem
    _log.info("back in the queue")
    if memory_gb is not None:
        # Now: while it runs Slurm refuses, and held it would wait for ever if this were killed.
        problem = slurmctl.set_memory(job, memory_gb)
        _log.info("next time with %g GB%s", memory_gb, f": {problem}" if problem else "")
    return None
