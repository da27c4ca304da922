"""What became of the shards of a run on Slurm, from its ledger and its submissions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mtljobs.cluster.marker import SWEEP, find_submissions
from mtljobs.cluster.queue import Queue
from mtljobs.cluster.retry import Decision, Past, decide, repeated_traceback
from mtljobs.cluster.runs import run_workspace
from mtljobs.cluster.states import RunState, ShardState
from mtljobs.errors import counted
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import RunFolder, scratch_folder
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources

CLAIMS = "claims"


@dataclass(frozen=True)
class Pardon:
    """What somebody forgave who resumed the run by hand: all that had happened until then.

    Attributes:
        attempts: Name of a shard -> number of its last attempt.
        submission: Number of the last submission.
    """

    attempts: Mapping[str, int]
    submission: int

    @classmethod
    def read(cls, run: RunFolder) -> Pardon:
        """The run's newest; of nothing, where nobody has resumed it."""
        try:
            return cls(**read_json(run.resumed))
        except FileNotFoundError:
            return cls({}, 0)


def forgive(state: RunState) -> None:
    """Let every shard be tried again, whatever has become of it."""
    last = {
        name: known.last.number
        for name, known in [*state.shards.items(), (state.reduction.shard.name, state.reduction)]
        if known.state != "done" and known.last is not None
    }
    newest = max((_number(folder) for folder in find_submissions(state.run)), default=0)
    replace_file(state.run.resumed, to_json({"attempts": last, "submission": newest}))


def read_pasts(state: RunState, queue: Queue) -> dict[str, Past]:
    """The past of every shard that is not done, and neither runs nor waits in the queue."""
    pardon = Pardon.read(state.run)
    known = {**state.shards, state.reduction.shard.name: state.reduction}
    idle = {
        name: shard
        for name, shard in known.items()
        if shard.state != "done" and name not in queue.shards and not is_alive(shard, queue)
    }
    silent = _count_silent(state.run, idle, after=pardon.submission)
    forgiven = {**pardon.attempts}
    reduction = state.reduction.shard.name
    forgiven[reduction] = max(forgiven.get(reduction, 0), _outdated_reductions(state))
    return {
        name: Past(
            attempts=shard.attempts,
            forgiven=forgiven.get(name, 0),
            silent=silent[name],
            got_further=_got_further(state.run, shard),
        )
        for name, shard in idle.items()
    }


def decide_all(
    state: RunState, pasts: Mapping[str, Past], *, resources: Resources, profile: Profile
) -> dict[str, Decision]:
    """Which of the shards are submitted; none of a stage that one error of the code has stopped."""
    decisions = {
        name: decide(past, resources=resources, profile=profile) for name, past in pasts.items()
    }
    for stage, (error, shards) in find_lost_stages(state, pasts, resources=resources).items():
        last_line = error.strip().splitlines()[-1]
        reason = f"{counted(len(shards), f'{stage} shard')} failed with one error: {last_line}"
        for name in pasts:
            if name in state.shards and state.shards[name].shard.stage == stage:
                decisions[name] = Decision(
                    again=False, memory_gb=decisions[name].memory_gb, reason=reason
                )
    return decisions


def find_lost_stages(
    state: RunState, pasts: Mapping[str, Past], *, resources: Resources
) -> dict[str, tuple[str, list[str]]]:
    """Stages that are not worth another shard: one error of the code stops shard after shard."""
    lost: dict[str, tuple[str, list[str]]] = {}
    for stage in {known.shard.stage for known in state.shards.values()}:
        attempts = {
            name: past.counted
            for name, past in pasts.items()
            if name in state.shards and state.shards[name].shard.stage == stage
        }
        found = repeated_traceback(attempts, limit=resources.retry.equal_tracebacks)
        if found is not None:
            lost[stage] = found
    return lost


def is_alive(shard: ShardState, queue: Queue) -> bool:
    """Whether an attempt runs that may go on: of a job that Slurm has, or outside of Slurm."""
    running = [attempt for attempt in shard.attempts if attempt.state == "running"]
    jobs = [attempt.process.job if attempt.process else None for attempt in running]
    return any(job is None or job in queue.running for job in jobs)


def _count_silent(run: RunFolder, idle: Mapping[str, ShardState], *, after: int) -> Counter[str]:
    """How many jobs of each shard, since its last attempt, ended before they began one."""
    silent: Counter[str] = Counter()
    for folder, marker in find_submissions(run).items():
        if marker.stage == SWEEP or marker.job is None or _number(folder) <= after:
            continue
        for name, attempts in zip(marker.shards, marker.attempts, strict=True):
            if name in idle and attempts == len(idle[name].attempts):
                silent[name] += 1
    return silent


def _got_further(run: RunFolder, shard: ShardState) -> bool:
    """Whether the last attempt, where it ran out of time, wrote a checkpoint or an image."""
    if shard.last is None or shard.last.state != "timed out":
        return True
    scratch = scratch_folder(run_workspace(run), run, shard.shard)
    return any(
        path.is_file() and path.stat().st_mtime > shard.last.started
        for path in scratch.rglob("*")
        if CLAIMS not in path.relative_to(scratch).parts
    )


def _outdated_reductions(state: RunState) -> int:
    """How many reductions came before the last attempt at a shard: they saw another run.

    A reduction that finds broken results fails, and their shards are computed again.
    """
    if not state.reduction.attempts:
        return 0
    began = [known.last.started for known in state.shards.values() if known.last is not None]
    newest = max([state.planned, *began])
    return sum(attempt.started < newest for attempt in state.reduction.attempts)


def _number(folder: Path) -> int:
    return int(folder.name)


def explain(
    decisions: Mapping[str, Decision], names: Collection[str], *, shown: int = 3
) -> list[str]:
    """Why shards are left, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name in names:
        by_reason.setdefault(decisions[name].reason, []).append(name)
    lines = []
    for reason, left in by_reason.items():
        more = f" and {len(left) - shown} more" if len(left) > shown else ""
        lines.append(f"{', '.join(left[:shown])}{more}: {reason}")
    return lines
