"""One look at a run on Slurm, and what is submitted then: a window of arrays and the next sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mtljobs.cluster.history import decide_all, explain, read_pasts
from mtljobs.cluster.local import driven_already
from mtljobs.cluster.queue import Limits, Queue, cancel, read_limits, read_queue, release
from mtljobs.cluster.retry import Decision, Past
from mtljobs.cluster.runs import run_workspace
from mtljobs.cluster.slurm import (
    QueueFullError,
    complete_submissions,
    submit_array,
    submit_sweep,
)
from mtljobs.cluster.states import RunState, read_states
from mtljobs.cluster.windows import Array, Window, count_room, plan_window
from mtljobs.errors import counted
from mtljobs.ledger import claims
from mtljobs.ledger.paths import RunFolder, claim_folder
from mtljobs.settings.base import restore
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources


@dataclass(frozen=True)
class Submission:
    """What was handed to Slurm.

    Attributes:
        jobs: Ids of the new jobs and arrays of shards, parents first.
        sweep: Id of the sweep that will go on; None where there is none.
        words: What this came to, in a line or more.
    """

    jobs: tuple[str, ...]
    sweep: str | None
    words: str


@dataclass
class SlurmDriver:
    """Of one look at a run; in the hands of whoever holds its claim.

    Attributes:
        state: How the run stands.
        profile: The cluster's.
        claim: On driving the run.
        round: How often sweeps had tried shards again before.
        jobs: Name of a shard that waits or runs -> id of its job.
        submitted: Arrays of this look, with their ids.
        released: Ids of jobs and elements that Slurm held, and holds no more.
    """

    state: RunState
    profile: Profile
    claim: claims.Claim
    round: int
    jobs: dict[str, str] = field(default_factory=dict, init=False)
    submitted: list[tuple[str, Array]] = field(default_factory=list, init=False)
    released: list[str] = field(default_factory=list, init=False)

    @property
    def run(self) -> RunFolder:
        """That it drives."""
        return self.state.run

    @property
    def resources(self) -> Resources:
        """Of the newest plan."""
        resources: Resources = restore(Resources, self.state.plan.resources)
        return resources

    def go_on(self, *, own: str | None = None) -> Submission:
        """Submit the next window and sweep.

        Args:
            own: Id of the sweep that this process is.
        """
        queue = read_queue(self.run)
        complete_submissions(self.run, queue.unfinished)
        cancel(*queue.late)
        self.released = release(*queue.stranded)
        queue = replace(queue, sweeps=tuple(job for job in queue.sweeps if job != own))
        self.jobs = dict(queue.shards)
        # Read anew: what a job has written before it left the queue is now seen.
        self.state = read_states(self.run)
        pasts = read_pasts(self.state, queue)
        decisions = self._decide(pasts)
        window, elsewhere = self._plan(decisions, queue)
        self._submit_arrays(window)
        round_ = self.round + any(pasts[name].was_tried for name in self._new_names())
        waiting = {**dict.fromkeys(window.left, "no room in the queue"), **elsewhere}
        sweep = self._submit_sweep(queue, round_, is_worth_it=bool(waiting))
        return Submission(
            tuple(job for job, _ in self.submitted),
            sweep,
            self._words(decisions, waiting, queue, sweep),
        )

    def _decide(self, pasts: Mapping[str, Past]) -> dict[str, Decision]:
        decisions = decide_all(self.state, pasts, resources=self.resources, profile=self.profile)
        if self.round < self.resources.retry.rounds:
            return decisions
        words = (
            f"tried again in {counted(self.round, 'round')}, as many as [resources.retry] allows"
        )
        return {
            name: replace(decision, again=False, reason=f"{decision.reason}; {words}")
            if decision.again and pasts[name].was_tried
            else decision
            for name, decision in decisions.items()
        }

    def _plan(
        self, decisions: Mapping[str, Decision], queue: Queue
    ) -> tuple[Window, dict[str, str]]:
        """What to submit, and what waits for somebody else."""
        reduction = self.state.plan.shards[-1]
        if self.state.all_done:
            last = decisions.get(reduction.name)
            if last is None or not last.again:
                return Window((), ()), {}
            return Window((Array((reduction,), last.memory_gb),), ()), {}
        elsewhere = self._find_elsewhere(decisions)
        limits = read_limits() if decisions else Limits(array=1, jobs=1)
        window = plan_window(
            self.state,
            decisions,
            queued=queue.shards,
            elsewhere=elsewhere,
            room=count_room(queue, limits, self.profile),
            longest=limits.array,
        )
        return window, elsewhere

    def _find_elsewhere(self, decisions: Mapping[str, Decision]) -> dict[str, str]:
        workspace = run_workspace(self.run)
        return {
            shard.name: "another run works on it"
            for shard in self.state.plan.shards
            if shard.shared
            and shard.name in decisions
            and claims.is_held(claim_folder(workspace, shard.identity))
        }

    def _submit_arrays(self, window: Window) -> None:
        """Submit until the queue is full; what is refused for that is tried by halves."""
        arrays = list(window.arrays)
        while arrays:
            array = arrays.pop(0)
            if not self.claim.renew():
                raise driven_already(self.run)
            after = {self.jobs[name] for name in array.parents & self.jobs.keys()}
            try:
                job = submit_array(
                    self.state, array, profile=self.profile, after=after, round_=self.round
                )
            except QueueFullError:
                half = array.shards[: len(array.shards) // 2]
                if not (half or self.jobs):
                    raise
                arrays = [replace(array, shards=half)] if half else []
                continue
            self.submitted.append((job, array))
            self.jobs |= dict.fromkeys((shard.name for shard in array.shards), job)

    def _submit_sweep(self, queue: Queue, round_: int, *, is_worth_it: bool) -> str | None:
        """Have somebody look again, once; in the place of a sweep that was to look earlier."""
        if not self.profile.jobs_may_submit:
            return None
        if not self.submitted and queue.sweeps:
            return queue.sweeps[-1]
        if not (self.jobs or is_worth_it):
            return None
        sweep = None
        while sweep is None:
            try:
                sweep = submit_sweep(
                    self.state,
                    profile=self.profile,
                    after=set(self.jobs.values()),
                    round_=round_,
                )
            except QueueFullError:
                if not self.submitted:
                    raise
                self._give_back_one()
        cancel(*queue.sweeps)
        return sweep

    def _give_back_one(self) -> None:
        """Take the last element that was submitted back out of the queue, where it has a place."""
        job, array = self.submitted.pop()
        kept = array.shards[:-1]
        del self.jobs[array.shards[-1].name]
        cancel(f"{job}_{len(kept)}" if kept else job)
        if kept:
            self.submitted.append((job, replace(array, shards=kept)))

    def _new_names(self) -> list[str]:
        return [shard.name for _, array in self.submitted for shard in array.shards]

    def _words(
        self,
        decisions: Mapping[str, Decision],
        waiting: Mapping[str, str],
        queue: Queue,
        sweep: str | None,
    ) -> str:
        if self.state.is_complete:
            return "complete"
        if self.submitted:
            jobs = ", ".join(job for job, _ in self.submitted)
            words = f"queued {counted(len(self._new_names()), 'shard')} in Slurm as {jobs}"
        elif queue.shards:
            words = "all that can go on now is in Slurm's queue already"
        elif waiting:
            words = "nothing can begin now"
        else:
            words = "nothing can go on"
        lines = [f"{words}; {self._what_next(sweep)}"]
        if waiting:
            lines.append(f"{len(waiting)} more wait: {', '.join(sorted(set(waiting.values())))}")
        if self.released:
            lines.append(f"released, as Slurm could not start them: {', '.join(self.released)}")
        left = [name for name, decision in decisions.items() if not decision.again]
        return "\n".join(lines + [f"left: {line}" for line in explain(decisions, left)])

    def _what_next(self, sweep: str | None) -> str:
        if sweep is not None:
            return f"then sweep {sweep} goes on"
        if self.profile.jobs_may_submit:
            return "`mtljobs resume` tries again what is left"
        return "jobs of this cluster may not submit: `mtljobs resume` goes on when these have ended"
