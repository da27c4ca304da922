"""How far a run is, from its files alone: plan, records and attempts; no queue is asked."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mtljobs.cluster.runs import run_workspace
from mtljobs.contracts import Shard
from mtljobs.errors import UserError, nearest
from mtljobs.ledger.attempts import AttemptState, find_attempts
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.records import find_done
from mtljobs.plan.frozen import Plan, newest_plan, read_plan

Watcher = Callable[["RunState"], None]
"""Shown the state of a run whenever somebody looked."""

FAILED = frozenset({"failed", "vanished", "timed out", "out of memory", "node lost"})
"""Ends of an attempt after which a shard counts as failed until somebody resumes the run."""

TIMED = 40
"""Shards of a stage whose attempts tell how long one takes."""

STAGE_ORDER = ("segment", "train", "prune", "evaluate", "explain", "reduce")
"""Trainings first: what hangs on them is long, and explanations can fill every core at the end."""


@dataclass(frozen=True)
class ShardState:
    """One shard and what is known of it.

    Attributes:
        shard: The plan's line.
        state: "done", "running", "ready" (its parents are done), "blocked" (they are not), or the
            end of its last attempt.
        attempts: Oldest first.
    """

    shard: Shard
    state: str
    attempts: Sequence[AttemptState] = ()

    @property
    def is_failed(self) -> bool:
        """Whether it waits for somebody to look at it."""
        return self.state in FAILED

    @property
    def last(self) -> AttemptState | None:
        """Its newest attempt."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    Attributes:
        plan_path: The newest plan's file.
        plan: What it says.
        shards: Every shard but the reduction, by name.
        reduction: "done" where it came after the plan and after what waits for a merge;
            `is_complete` says whether all was done.
        parents_done: Shards whose parents are done.
        planned: When the plan was written, in seconds since 1970; infinite if it is not.
    """

    run: RunFolder
    plan_path: Path
    plan: Plan
    shards: Mapping[str, ShardState]
    reduction: ShardState
    parents_done: frozenset[str] = frozenset()
    planned: float = math.inf

    @property
    def all_done(self) -> bool:
        """Whether every shard is done; the reduction may still be due."""
        return all(state.state == "done" for state in self.shards.values())

    @property
    def is_complete(self) -> bool:
        """Whether every shard is done, and in the store and the tables."""
        return self.all_done and self.reduction.state == "done"

    @property
    def failed(self) -> list[ShardState]:
        """Shards whose last attempt came to a bad end."""
        return [state for state in self.shards.values() if state.is_failed]

    @property
    def running(self) -> list[ShardState]:
        """Shards that a live attempt works on."""
        return [state for state in self.shards.values() if state.state == "running"]

    def counts(self) -> dict[str, Counter[str]]:
        """Per stage, how many shards are in which state."""
        together = Counter((state.shard.stage, state.state) for state in self.shards.values())
        counts: dict[str, Counter[str]] = {}
        for (stage, state), count in together.items():
            counts.setdefault(stage, Counter())[state] = count
        return dict(sorted(counts.items(), key=lambda item: STAGE_ORDER.index(item[0])))

    def seconds_left(self, slots: int) -> float | None:
        """A guess from finished attempts of each stage; None before the first."""
        known = {stage: fmean(times) for stage, times in self.durations().items()}
        if not known:
            return None
        unknown = fmean(known.values())
        left = sum(
            known.get(state.shard.stage, unknown)
            for state in self.shards.values()
            if state.state != "done"
        )
        return left / max(1, slots)

    def durations(self) -> dict[str, list[float]]:
        """Per stage, how long some of the attempts took that did it, in seconds."""
        done: dict[str, list[ShardState]] = {}
        for state in self.shards.values():
            if state.state == "done":
                done.setdefault(state.shard.stage, []).append(state)
        return {
            stage: times
            for stage, states in done.items()
            if (times := [seconds for state in _spread(states) for seconds in _durations(state)])
        }


def _spread(states: Sequence[ShardState]) -> Sequence[ShardState]:
    """`TIMED` of them, spread evenly, as what takes equally long stands side by side in a plan."""
    return states[:: -(-len(states) // TIMED)]


def _durations(state: ShardState) -> list[float]:
    ended = (attempt for attempt in state.attempts if attempt.state == "done")
    return [attempt.last_sign - attempt.started for attempt in ended]


def read_states(run: RunFolder) -> RunState:
    """The state of every shard of the run's newest plan, now.

    Raises:
        UserError: Nothing was ever submitted to the run.
    """
    path = require_plan(run)
    return states_under(run, read_plan(path), path, planned=path.stat().st_mtime)


def require_plan(run: RunFolder) -> Path:
    """The run's newest plan file.

    Raises:
        UserError: Nothing was ever submitted to the run.
    """
    path = newest_plan(run)
    if path is None:
        raise UserError(
            f"nothing was submitted to the run {run.name!r}; see `mtljobs submit --help`."
        )
    return path


def states_under(run: RunFolder, plan: Plan, path: Path, *, planned: float) -> RunState:
    """The state that every shard of a plan has, or would have if it were the run's.

    Args:
        run: It need not exist.
        plan: Which may not be written yet.
        path: Where it is, or would be.
        planned: As `RunState` says.
    """
    workspace = run_workspace(run)
    # Most attempts are those of shards that are done, and nobody needs to read them.
    attempts = find_attempts(run.attempts)
    shards = [shard for shard in plan.shards if shard.stage != "reduce"]
    done = find_done(workspace, run, shards)
    ended = [shard for shard in shards if shard.name not in done and _says_done(attempts, shard)]
    done |= find_done(workspace, run, ended)  # its record may have come since
    return RunState(
        run=run,
        plan_path=path,
        plan=plan,
        shards={
            shard.name: ShardState(
                shard,
                _state(shard, done, attempts.get(shard.name, ())),
                attempts.get(shard.name, ()),
            )
            for shard in shards
        },
        reduction=_reduction(run, plan.shards[-1], attempts, planned=planned),
        parents_done=frozenset(shard.name for shard in shards if done.issuperset(shard.parents)),
        planned=planned,
    )


def _says_done(attempts: Mapping[str, Sequence[AttemptState]], shard: Shard) -> bool:
    return any(attempt.state in {"done", "duplicate"} for attempt in attempts.get(shard.name, ()))


def _reduction(
    run: RunFolder,
    shard: Shard,
    attempts: Mapping[str, Sequence[AttemptState]],
    *,
    planned: float,
) -> ShardState:
    made = attempts.get(shard.name, ())
    if made and made[-1].state == "done":
        since = max(planned, _committed_at(run))
        if made[-1].started >= since:
            return ShardState(shard, "done", made)
    return ShardState(shard, _state(shard, set(shard.parents), made), made)


def _committed_at(run: RunFolder) -> float:
    """When the newest was committed that no merge has moved yet: computed again, say."""
    if not run.committed.is_dir():
        return -math.inf
    return max((folder.stat().st_mtime for folder in run.committed.iterdir()), default=-math.inf)


def _state(shard: Shard, done: set[str], attempts: Sequence[AttemptState]) -> str:
    if shard.name in done:
        return "done"
    if any(attempt.state == "running" for attempt in attempts):
        return "running"
    if attempts and attempts[-1].state in FAILED | {"preempted", "waiting", "cancelled"}:
        return attempts[-1].state
    return "ready" if done.issuperset(shard.parents) else "blocked"


def count_slots(plan: Plan, cpus: int | None) -> int:
    """Shards that this machine runs at a time: cores divided by threads of a shard, at least 1."""
    threads = max(
        (shard.spec.get("numerics", {}).get("threads", 1) for shard in plan.shards), default=1
    )
    return max(1, (cpus or len(os.sched_getaffinity(0))) // threads)


def find_shard(state: RunState, name: str) -> str:
    """The shard that a name, or the beginning of one, means.

    Raises:
        UserError: None or several; names them.
    """
    names = [shard.name for shard in state.plan.shards]
    found = [known for known in names if known == name] or [
        known for known in names if known.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} shards begin with {name!r}, such as {', '.join(found[:3])}; write more "
            "of the name."
        )
    raise UserError(f"the run {state.run.name!r} has no shard {name!r}{nearest(name, names)}.")
