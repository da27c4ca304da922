"""What `submit` would hand to Slurm: arrays with resources and dependencies, and their scripts."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtljobs.cluster.asking import ask
from mtljobs.cluster.history import decide_all, read_pasts
from mtljobs.cluster.marker import SWEEP, next_number
from mtljobs.cluster.queue import Limits, read_limits, read_queue
from mtljobs.cluster.slurm import array_parameters, batch_script, sweep_parameters
from mtljobs.cluster.states import RunState
from mtljobs.cluster.windows import Array, count_room, plan_window
from mtljobs.settings.base import restore
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources

USUAL = Limits(array=1001, jobs=10_000)
"""What Slurm allows where its configuration says nothing, for a look from another machine."""

_START = re.compile(r"to start at (\S+)")


@dataclass(frozen=True)
class Job:
    """An array of shards, or the sweep behind them.

    Attributes:
        name: What stands in the place of its id, which is not known yet.
        stage: Of its shards, or "sweep".
        shards: How many.
        after: Names, or ids, of the jobs that must have ended before it begins.
        parameters: What `sbatch` is told, in submitit's words.
        folder: Of its submission.
    """

    name: str
    stage: str
    shards: int
    after: tuple[str, ...]
    parameters: Mapping[str, Any]
    folder: Path

    @property
    def script(self) -> str:
        """What `sbatch` will be given."""
        return self._script(self.after)

    def _script(self, after: Sequence[str]) -> str:
        return batch_script(self.folder, self.parameters, elements=self.shards, after=after)

    def ask_start(self) -> str:
        """When it would start if it waited for no other, in the words of `sbatch --test-only`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "script.sh"
            path.write_text(self._script(()), encoding="utf-8")
            answer = ask("sbatch", "--test-only", str(path))
        start = _START.search(answer.aside)
        return start[1] if start else answer.problem or " ".join(answer.aside.split())


@dataclass(frozen=True)
class Preview:
    """The next submission of a run.

    Attributes:
        jobs: Arrays, parents first, and the sweep behind them.
        later: Shards for which the queue has no room now; sweeps submit them.
        left: Shards that are not tried again without anybody asking.
    """

    jobs: tuple[Job, ...]
    later: int
    left: int

    def ask_starts(self) -> list[str]:
        """When each job could start, as `Job.ask_start`."""
        return [job.ask_start() for job in self.jobs]


def preview(state: RunState, profile: Profile) -> Preview:
    """What `submit` would do now.

    Args:
        state: Of the run, as it will stand.
        profile: The cluster's.

    Raises:
        UserError: Slurm does not answer.
    """
    queue = read_queue(state.run)
    resources: Resources = restore(Resources, state.plan.resources)
    pasts = read_pasts(state, queue)
    decisions = decide_all(state, pasts, resources=resources, profile=profile)
    limits = read_limits() if shutil.which("scontrol") else USUAL
    window = plan_window(
        state,
        decisions,
        queued=queue.shards,
        elsewhere=(),
        room=count_room(queue, limits, profile),
        longest=limits.array,
    )
    jobs = _name_jobs(state, window.arrays or _reduction(state, resources), queue.shards, profile)
    left = [name for name, decision in decisions.items() if not decision.again]
    return Preview(tuple(jobs), len(window.left), len(left))


def _reduction(state: RunState, resources: Resources) -> tuple[Array, ...]:
    is_due = state.all_done and not state.is_complete
    return (Array((state.plan.shards[-1],), resources.memory_gb),) if is_due else ()


def _name_jobs(
    state: RunState, arrays: Sequence[Array], queued: Mapping[str, str], profile: Profile
) -> list[Job]:
    ids = dict(queued)
    order = list(dict.fromkeys(ids.values()))
    jobs: list[Job] = []

    def add(stage: str, shards: int, after: Collection[str], parameters: Mapping[str, Any]) -> str:
        name = f"JOB{len(jobs) + 1}"
        folder = state.run.submissions / f"{next_number(state.run) + len(jobs):04d}"
        waits = tuple(job for job in order if job in after)
        jobs.append(Job(name, stage, shards, waits, parameters, folder))
        order.append(name)
        return name

    for array in arrays:
        after = {ids[name] for name in array.parents & ids.keys()}
        name = add(array.stage, len(array.shards), after, array_parameters(state, array, profile))
        ids |= dict.fromkeys((shard.name for shard in array.shards), name)
    if jobs and profile.jobs_may_submit:
        add(SWEEP, 0, order, sweep_parameters(state.run, profile))
    return jobs
