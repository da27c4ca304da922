"""The Slurm executor: a run's shards as job arrays, each after the arrays that hold its parents.

There is no head process. A preempted job is requeued by Slurm and goes on from its checkpoint; what
ended otherwise, or found its parents missing, is submitted again by `mtljobs resume`.
"""

from __future__ import annotations

import dataclasses
import itertools
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from mtljobs import worker
from mtljobs.cluster.local import sole_driver
from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.profiles import run_profile
from mtljobs.cluster.queue import clean_environment, find_jobs, read_max_array_size
from mtljobs.cluster.states import RunState, read_states
from mtljobs.contracts import Shard
from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings.base import restore
from mtljobs.settings.resources import Resources

WITHOUT_GPU = frozenset({"segment", "reduce"})


def submit_run(run: RunFolder, *, retry_failed: bool) -> list[str]:
    """Queue what is not done, running or queued, and the reduction as the last job.

    Args:
        run: Its newest plan counts.
        retry_failed: Failed shards too; otherwise they and what hangs on them are left out.

    Returns:
        Job ids of the new arrays, parents first; empty where all that is left is in the queue.

    Raises:
        UserError: Slurm refused, or cannot write to a folder of this name.
    """
    _require_plain(run.root)
    with sole_driver(run), clean_environment():
        state = read_states(run)
        jobs = find_jobs(run)
        due = _due_shards(state, jobs, retry_failed=retry_failed)
        submitted = []
        for array in _arrays(due, read_max_array_size() if due else 1):
            parents = {parent for shard in array for parent in shard.parents}
            job = _submit_array(state, array, after={jobs[name] for name in parents & jobs.keys()})
            jobs |= dict.fromkeys((shard.name for shard in array), job)
            submitted.append(job)
        reduction = state.plan.shards[-1]
        if due or reduction.name not in jobs:
            submitted.append(_submit_array(state, [reduction], after=set(jobs.values())))
    return submitted


def _due_shards(
    state: RunState, queued: Collection[str], *, retry_failed: bool
) -> list[tuple[int, Shard]]:
    """What to submit, each with how many arrays must end before it can begin."""
    depths: dict[str, int] = {}
    due = []
    for shard in state.plan.shards[:-1]:
        known = state.shards[shard.name]
        if known.state in {"done", "running"} or shard.name in queued:
            depths[shard.name] = 0
        elif depths.keys() >= set(shard.parents) and (retry_failed or not known.is_failed):
            depths[shard.name] = 1 + max((depths[name] for name in shard.parents), default=0)
            due.append((depths[shard.name], shard))
    return due


def _arrays(due: list[tuple[int, Shard]], longest: int) -> Iterator[list[Shard]]:
    """Shards that may run at the same time and want the same resources, parents first."""

    def kind(item: tuple[int, Shard]) -> tuple[int, str, int]:
        return item[0], item[1].stage, _threads(item[1])

    for _, group in itertools.groupby(sorted(due, key=kind), key=kind):
        shards = [shard for _, shard in group]
        for start in range(0, len(shards), longest):
            yield shards[start : start + longest]


def _submit_array(state: RunState, shards: Sequence[Shard], *, after: Collection[str]) -> str:
    folder = new_submission(state.run)
    names = tuple(shard.name for shard in shards)
    marker = Marker(
        stage=shards[0].stage,
        shards=names,
        plan=str(state.plan_path),
        memory_gb=restore(Resources, state.plan.resources).memory_gb,
        round=0,
    )
    marker.write(folder)
    # In the place of the batch shell: what Slurm signals and waits for is the supervisor itself.
    supervisor = f"exec {shlex.quote(sys.executable)} -m mtljobs.cluster.supervisor"
    executor = submitit.SlurmExecutor(folder=folder, python=supervisor)
    executor.update_parameters(**_parameters(state, shards), dependency=_afterany(after))
    lines = {shard.name: line for line, shard in enumerate(state.plan.shards)}
    indices = [lines[name] for name in names]
    try:
        jobs = executor.map_array(worker.run_shard, [str(state.plan_path)] * len(indices), indices)
    except FailedJobError as error:
        raise UserError(
            f"sbatch refused the {shards[0].stage} shards: {error}. What was queued before stays; "
            "mend it and submit again, or take it back with `mtljobs cancel`."
        ) from error
    job = jobs[0].job_id.partition("_")[0]
    dataclasses.replace(marker, job=job).write(folder)
    return job


def _parameters(state: RunState, shards: Sequence[Shard]) -> dict[str, Any]:
    """What `sbatch` is told, in submitit's words."""
    stage = shards[0].stage
    resources = restore(Resources, state.plan.resources)
    threads = worker.thread_environment(shards[0])
    return {
        "job_name": f"mtljobs-{state.run.name}-{stage}",
        "time": resources.walltime_min,
        "mem": f"{round(resources.memory_gb * 1024)}MB",
        "cpus_per_task": _threads(shards[0]) + resources.loader_workers,
        "gpus_per_node": None if stage in WITHOUT_GPU else resources.gpus or None,
        "array_parallelism": len(shards),
        "stderr_to_stdout": True,
        "use_srun": False,
        # A notice that comes before the supervisor listens shall not end the script.
        "setup": ["trap '' USR2", *(f"export {name}={value}" for name, value in threads.items())],
        "additional_parameters": {
            "requeue": True,
            "signal": f"B:USR2@{run_profile(state.run).notice_s}",
            "open-mode": "append",
        },
    }


def _afterany(jobs: Collection[str]) -> str | None:
    # Not afterok, which leaves a job in the queue for ever once a parent has failed. A shard whose
    # parents are missing ends as "waiting" by itself.
    return f"afterany:{':'.join(sorted(jobs, key=int))}" if jobs else None


def _threads(shard: Shard) -> int:
    return int(worker.thread_environment(shard)["OMP_NUM_THREADS"])


def _require_plain(folder: Path) -> None:
    if set(str(folder)) & set("%\\\n"):
        raise UserError(
            f"Slurm cannot write to {str(folder)!r}, as %, \\ and line ends mean something else to "
            "it. Choose another --workspace, or --executor local."
        )
