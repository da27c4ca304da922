"""How long shards take, as far as earlier ones of the same stage tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mtljobs.cluster.runs import list_runs, run_workspace
from mtljobs.cluster.windows import WITHOUT_GPU
from mtljobs.contracts import Shard
from mtljobs.errors import CorruptionError
from mtljobs.ledger.attempts import AttemptState, find_attempts
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.resources import Resources

LOOKED_AT = 40
"""Shards of a stage that tell how long one takes."""


@dataclass(frozen=True)
class StageTime:
    """What a shard of a stage took.

    Attributes:
        seconds: Of all its attempts together, on average.
        shards: How many were looked at.
        run: Name of the run that they are of.
    """

    seconds: float
    shards: int
    run: str


@dataclass(frozen=True)
class Expected:
    """How long some shards may take.

    Attributes:
        shard_hours: Of all of them, one after the other; where a stage's time is not known, its
            walltime counts, which is the most that an attempt takes.
        gpu_hours: The same of those that a GPU is kept for.
        chain_hours: Of the longest chain of shards that wait for each other: the least that it
            takes when every one begins as soon as it may.
        times: What is known, by stage.
        unknown: Stages of which nothing is known.
    """

    shard_hours: float
    gpu_hours: float
    chain_hours: float
    times: Mapping[str, StageTime]
    unknown: tuple[str, ...]


def expect(due: Sequence[Shard], run: RunFolder, resources: Resources) -> Expected:
    """How long shards take that are not done.

    Args:
        due: Parents before children.
        run: Whose they are; it need not exist.
        resources: Of its plan.
    """
    stages = tuple(dict.fromkeys(shard.stage for shard in due))
    times = _read_times(run, due)
    known = {stage: time.seconds / 3600 for stage, time in times.items()}
    hours = {stage: known.get(stage, resources.walltime_min / 60) for stage in stages}
    on_gpus = (shard for shard in due if shard.stage not in WITHOUT_GPU)
    ends: dict[str, float] = {}
    for shard in due:
        begin = max((ends.get(parent, 0.0) for parent in shard.parents), default=0.0)
        ends[shard.name] = begin + hours[shard.stage]
    return Expected(
        shard_hours=sum(hours[shard.stage] for shard in due),
        gpu_hours=resources.gpus * sum(hours[shard.stage] for shard in on_gpus),
        chain_hours=max(ends.values(), default=0.0),
        times=times,
        unknown=tuple(stage for stage in stages if stage not in times),
    )


def _read_times(run: RunFolder, due: Sequence[Shard]) -> dict[str, StageTime]:
    """What shards of each stage took in this run, or else in another one of its workspace.

    Of the same work: on the same data with the same networks.
    """
    work = {(shard.stage, _work(shard)) for shard in due}
    stages = {shard.stage for shard in due}
    times: dict[str, StageTime] = {}
    for other in (run, *(other for other in list_runs(run_workspace(run)) if other != run)):
        if times.keys() == stages:
            break
        attempts = find_attempts(other.attempts)
        alike: dict[str, list[Sequence[AttemptState]]] = {}
        for shard in _read_shards(other) if attempts else ():
            if shard.name in attempts and (shard.stage, _work(shard)) in work:
                alike.setdefault(shard.stage, []).append(attempts[shard.name])
        for stage in alike.keys() - times.keys():
            seconds = _seconds(alike[stage])
            if seconds:
                times[stage] = StageTime(fmean(seconds), len(seconds), other.name)
    return times


def _work(shard: Shard) -> str:
    """What decides most about a shard's time, as text that compares."""
    return json.dumps([shard.spec.get(key) for key in ("data", "model")], sort_keys=True)


def _read_shards(run: RunFolder) -> Sequence[Shard]:
    try:
        plan = read_newest(run)
    except CorruptionError:  # of another run: it is its own business
        return ()
    return () if plan is None else plan.shards


def _seconds(shards: Sequence[Sequence[AttemptState]]) -> list[float]:
    """What some shards took, spread evenly, as what takes equally long has names side by side."""
    every = -(-len(shards) // LOOKED_AT) or 1
    return [
        sum(attempt.last_sign - attempt.started for attempt in attempts)
        for attempts in shards[::every]
        if attempts and attempts[-1].state == "done"
    ]
