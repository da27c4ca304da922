"""One job of Slurm: an array of shards, or a sweep, handed over by stock submitit.

Any line may be the last one executed. The marker in a job's folder comes first, then the job, then
submitit's file for each element, then the marker once more, with the job's id. A job whose files
are missing ends without having done anything, after a minute: `complete_submissions` writes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, JobPaths
from submitit.slurm.slurm import _make_sbatch_string

from mtljobs import worker
from mtljobs.cluster.asking import clean_environment
from mtljobs.cluster.marker import SWEEP, Marker, new_submission
from mtljobs.cluster.parameters import job_parameters
from mtljobs.cluster.states import RunState
from mtljobs.cluster.windows import WITHOUT_GPU, Array, count_threads
from mtljobs.errors import UserError
from mtljobs.ledger.files import remove_tree
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import read_plan
from mtljobs.settings.base import load, restore
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources

SUPERVISOR = "mtljobs.cluster.supervisor"
SWEEP_FUNCTION = "mtljobs.cluster.sweep:sweep_run"
SWEEP_MIN = 15
SWEEP_GB = 1.0
LATER_MIN = 10
"""Minutes after which a sweep looks again, where no job's end would call it."""

_FULL = re.compile(r"submit ?job|submit limit|submitjobs|MaxSubmit|QOSGrp|MaxJob|temporarily", re.I)
"""What `sbatch` says where a user, an account or the cluster has enough jobs in the queue."""

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""What one element of a job runs."""


class QueueFullError(UserError):
    """The queue takes no more jobs of this user now."""


def array_parameters(state: RunState, array: Array, profile: Profile) -> dict[str, Any]:
    """What `sbatch` is told of an array, in submitit's words, but for its dependencies."""
    resources = restore(Resources, state.plan.resources)
    parameters = job_parameters(
        profile,
        name=f"mtljobs-{state.run.name}-{array.stage}",
        minutes=resources.walltime_min,
        memory_gb=array.memory_gb,
        cpus=count_threads(array.shards[0]) + resources.loader_workers,
        gpus=0 if array.stage in WITHOUT_GPU else resources.gpus,
    )
    threads = worker.thread_environment(array.shards[0])
    exports = [f"export {name}={shlex.quote(value)}" for name, value in threads.items()]
    # A notice that comes before the supervisor listens shall not end the script.
    setup = ["trap '' USR2", *parameters["setup"], *exports]
    return {**parameters, "setup": setup, "array_parallelism": len(array.shards)}


def sweep_parameters(run: RunFolder, profile: Profile) -> dict[str, Any]:
    """What `sbatch` is told of a sweep: one core for some minutes, on a cheap partition."""
    partition = profile.host_partition or profile.partition
    parameters = job_parameters(
        dataclasses.replace(profile, partition=partition, constraint=None),
        name=f"mtljobs-{run.name}-{SWEEP}",
        minutes=SWEEP_MIN,
        memory_gb=SWEEP_GB,
        cpus=1,
        gpus=0,
    )
    # It needs no notice: it may be killed at any line, and is requeued.
    additional = {**parameters["additional_parameters"], "signal": None}
    return {**parameters, "additional_parameters": additional}


def submit_array(
    state: RunState, array: Array, *, profile: Profile, after: Collection[str], round_: int
) -> str:
    """Hand an array to Slurm.

    Args:
        state: Of the run; its plan's lines are what elements are given.
        array: What to submit.
        profile: The cluster's.
        after: Ids of jobs that must have ended, however, before it begins.
        round_: For its marker.

    Returns:
        Its id.

    Raises:
        QueueFullError: There is no room for it.
        UserError: `sbatch` refused it.
    """
    marker = Marker(
        stage=array.stage,
        shards=tuple(shard.name for shard in array.shards),
        plan=str(state.plan_path),
        memory_gb=array.memory_gb,
        round=round_,
        attempts=tuple(_count_attempts(state, shard.name) for shard in array.shards),
    )
    parameters = array_parameters(state, array, profile)
    return _submit(state.run, marker, SUPERVISOR, parameters, _afterany(after))


def submit_sweep(state: RunState, *, profile: Profile, after: Collection[str], round_: int) -> str:
    """Hand the next sweep to Slurm, as `submit_array`; with nothing to wait for, it comes later."""
    marker = Marker(
        stage=SWEEP, shards=(), plan=str(state.plan_path), memory_gb=SWEEP_GB, round=round_
    )
    when = _afterany(after) if after else {"begin": f"now+{LATER_MIN}minutes"}
    return _submit(state.run, marker, None, sweep_parameters(state.run, profile), when)


def complete_submissions(run: RunFolder, unfinished: Mapping[Path, str]) -> None:
    """Finish what a killed `submit` had begun: the files and markers of jobs that Slurm has.

    Args:
        run: Whose they are.
        unfinished: Folder of a submission -> id of its job, as the queue says.
    """
    for folder, job in unfinished.items():
        marker = dataclasses.replace(Marker.read(folder), job=job)
        for index, (function, arguments) in enumerate(_calls(run, marker)):
            paths = JobPaths(folder, marker.element(index))
            if not paths.submitted_pickle.exists():
                aside = folder / f".{index}.aside"
                DelayedSubmission(function, *arguments).dump(aside)
                aside.replace(paths.submitted_pickle)
        marker.write(folder)


def _submit(
    run: RunFolder,
    marker: Marker,
    module: str | None,
    parameters: Mapping[str, Any],
    when: Mapping[str, str],
) -> str:
    folder = new_submission(run)
    marker.write(folder)
    executor = submitit.SlurmExecutor(folder=folder, python=_python(module))
    executor.update_parameters(**_timed(parameters, when))
    functions, arguments = zip(*_calls(run, marker), strict=True)
    try:
        with clean_environment(), contextlib.redirect_stderr(io.StringIO()):
            jobs = executor.map_array(functions[0], *zip(*arguments, strict=True))
    except FailedJobError as error:
        remove_tree(folder)
        kind = QueueFullError if _FULL.search(str(error)) else UserError
        raise kind(
            f"sbatch refused the {marker.stage} job: {error}. What was queued before stays; mend "
            "it and submit again, or take it back with `mtljobs cancel`."
        ) from error
    job: str = jobs[0].job_id.partition("_")[0]
    dataclasses.replace(marker, job=job).write(folder)
    return job


def batch_script(
    folder: Path, parameters: Mapping[str, Any], *, elements: int, after: Sequence[str]
) -> str:
    """What `sbatch` is given of an array of shards, or of a sweep, which has no elements.

    Args:
        folder: Of the submission; it need not exist.
        parameters: As `array_parameters` or `sweep_parameters` says.
        elements: Shards of the array.
        after: Ids of the jobs that it waits for, or what stands in their place.
    """
    when = {"dependency": f"afterany:{':'.join(after)}"} if after else {}
    options = _timed(parameters, when) | ({"map_count": elements} if elements > 1 else {})
    command = shlex.join(["-u", "-m", "submitit.core._submit", str(folder)])
    script: str = _make_sbatch_string(
        f"{_python(SUPERVISOR if elements else None)} {command}",
        folder,
        **options,
    )
    return script


def _python(module: str | None) -> str:
    # In the place of the batch shell: what Slurm signals and waits for is this program itself.
    python = f"exec {shlex.quote(sys.executable)}"
    return python if module is None else f"{python} -m {module}"


def _timed(parameters: Mapping[str, Any], when: Mapping[str, str]) -> dict[str, Any]:
    """All that `sbatch` is told of a job, with when it may begin."""
    additional = {**parameters["additional_parameters"], **when}
    known = {key: value for key, value in additional.items() if value is not None}
    return {**parameters, "additional_parameters": known}


def _calls(run: RunFolder, marker: Marker) -> list[Call]:
    """What each element of a job runs."""
    if marker.stage == SWEEP:
        return [(load(SWEEP_FUNCTION), (str(run.root),))]
    lines = {shard.name: line for line, shard in enumerate(read_plan(Path(marker.plan)).shards)}
    return [(worker.run_shard, (marker.plan, lines[name])) for name in marker.shards]


def _count_attempts(state: RunState, name: str) -> int:
    known = state.shards.get(name, state.reduction)
    return len(known.attempts)


def _afterany(jobs: Collection[str]) -> dict[str, str]:
    # Not afterok, which leaves a job in the queue for ever once a parent has failed. A shard whose
    # parents are missing ends as "waiting" by itself.
    return {"dependency": f"afterany:{':'.join(sorted(jobs, key=int))}"} if jobs else {}
