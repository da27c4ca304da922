"""Windows: which shards go into the queue next, as arrays, parents first. A pure function."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mtljobs import worker
from mtljobs.cluster.queue import Limits, Queue
from mtljobs.cluster.retry import Decision
from mtljobs.cluster.states import STAGE_ORDER, RunState
from mtljobs.contracts import Shard
from mtljobs.settings.profile import Profile

WITHOUT_GPU = frozenset({"segment", "reduce"})
"""Stages that would leave a GPU idle."""

FOR_OTHERS = 2
"""Part of a cluster's queue that one user leaves free: a half."""


@dataclass(frozen=True)
class Array:
    """Shards that may run at the same time, with the same resources.

    Attributes:
        shards: At most as many as an array may have.
        memory_gb: Of each.
        depth: How many arrays must end before it can begin; 1 where none must.
    """

    shards: tuple[Shard, ...]
    memory_gb: float
    depth: int = 1

    @property
    def stage(self) -> str:
        """Of its shards."""
        return self.shards[0].stage

    @property
    def parents(self) -> frozenset[str]:
        """Names of the shards that it waits for."""
        return frozenset(parent for shard in self.shards for parent in shard.parents)


@dataclass(frozen=True)
class Window:
    """What is submitted now.

    Attributes:
        arrays: Parents first.
        left: Names of the shards that are due too, and for which there is no room.
    """

    arrays: tuple[Array, ...]
    left: tuple[str, ...]


def count_room(queue: Queue, limits: Limits, profile: Profile) -> int:
    """How many elements the user may add to the queue, less the one that the next sweep takes."""
    most = profile.queued_max or max(3, limits.jobs // FOR_OTHERS)
    return max(0, most - queue.size - (profile.jobs_may_submit))


def plan_window(
    state: RunState,
    decisions: Mapping[str, Decision],
    *,
    queued: Collection[str],
    elsewhere: Collection[str],
    room: int,
    longest: int,
) -> Window:
    """The next arrays of a run.

    Args:
        state: Of its newest plan.
        decisions: Of the shards that are not done, and neither run nor wait in the queue.
        queued: Shards that wait or run in the queue.
        elsewhere: Those that somebody else works on now, for another run.
        room: Most elements in all.
        longest: Most elements of an array.
    """
    due = _find_due(state, decisions, queued, elsewhere)
    arrays = []
    for (depth, _, _, memory_gb), group in itertools.groupby(due[:room], key=lambda item: item[0]):
        shards = [shard for _, shard in group]
        arrays += [
            Array(tuple(shards[start : start + longest]), memory_gb, depth)
            for start in range(0, len(shards), longest)
        ]
    return Window(tuple(arrays), tuple(shard.name for _, shard in due[room:]))


def _find_due(
    state: RunState,
    decisions: Mapping[str, Decision],
    queued: Collection[str],
    elsewhere: Collection[str],
) -> list[tuple[tuple[int, int, int, float], Shard]]:
    """Each shard that may be submitted with its depth and resources, in the order of these."""
    depths: dict[str, int] = {}
    due = []
    for shard in state.plan.shards[:-1]:  # the reduction comes by itself
        decision = decisions.get(shard.name)
        if shard.name in queued or state.shards[shard.name].state == "done":
            depths[shard.name] = 0
        elif decision is None or not decision.again or shard.name in elsewhere:
            continue
        elif depths.keys() >= set(shard.parents):
            depth = 1 + max((depths[name] for name in shard.parents), default=0)
            depths[shard.name] = depth
            kind = (depth, STAGE_ORDER.index(shard.stage), count_threads(shard), decision.memory_gb)
            due.append((kind, shard))
    return sorted(due, key=lambda item: item[0])


def count_threads(shard: Shard) -> int:
    """Threads that a shard computes with."""
    return int(worker.thread_environment(shard)["OMP_NUM_THREADS"])
