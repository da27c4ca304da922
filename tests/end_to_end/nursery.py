"""A parent that has imported everything and computed nothing, and forks workers that get killed.

A fork starts in 18 ms where a new interpreter with torch takes seconds. Run as a program of its
own, as the test process has threads that a fork would lose.

    python nursery.py GRID FOLDER EARLY_KILLS SEED

computes the grid in FOLDER/quiet, undisturbed, and in FOLDER/killed, where workers are killed at
any moment of the time that the first run took. Prints one JSON line: kills that hit a living
worker, per shard.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mtljobs import worker
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.states import RunState, read_states
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.attempts import read_attempts
from mtljobs.ledger.paths import RunFolder, open_workspace
from mtljobs.settings.base import load

SLOTS = 2
STAGES = ("segment", "train", "prune", "evaluate", "explain", "reduce")
WARM = (
    *(f"stages.{stage}:run" for stage in STAGES),
    "data.rooms:Rooms",
    "models.segnet_mtan:SegNetMTAN",
    "pruning.netslim:NetSlim",
)


class Nursery:
    """Drives a run with workers that it kills at random instructions.

    Args:
        early_kills: Workers of every shard that die in the first half of their work, for certain;
            after them one more, if it has not ended by then, at any moment.
        usual_s: How long a shard takes.
    """

    def __init__(
        self, plan_path: Path, *, early_kills: int, usual_s: Mapping[str, float], seed: int
    ) -> None:
        self.plan_path = plan_path
        self.early_kills = early_kills
        self.usual_s = usual_s
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.alive: dict[int, tuple[str, float | None]] = {}

    def drive(self, run: RunState) -> None:
        """Work until every shard is done and the reduction went through."""
        while not (state := read_states(run.run)).all_done:
            self._start(state)
            self._tend()
        while self.alive or not read_states(run.run).is_complete:
            if not self.alive:
                self._fork(len(state.plan.shards) - 1, "reduce")
            self._tend()

    def _start(self, state: RunState) -> None:
        busy = {name for name, _ in self.alive.values()}
        for index, shard in enumerate(state.plan.shards):
            if len(self.alive) >= SLOTS:
                return
            is_due = shard.name in state.parents_done and state.shards[shard.name].state != "done"
            if is_due and shard.name not in busy:
                self._fork(index, shard.name)

    def _fork(self, index: int, name: str) -> None:
        latest = 0.5 if self.attempts[name] < self.early_kills else 1.2
        dies_at = None
        if self.attempts[name] <= self.early_kills and name in self.usual_s:
            dies_at = time.monotonic() + self.random.uniform(0, latest * self.usual_s[name])
        self.attempts[name] += 1
        pid = os.fork()
        if pid == 0:
            self._work(index)
        self.alive[pid] = (name, dies_at)

    def _work(self, index: int) -> None:
        try:
            worker.run_shard(str(self.plan_path), index)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _tend(self) -> None:
        """Wait until a worker ends or is killed; looking at the run takes longer than some live."""
        before = len(self.alive)
        while len(self.alive) == before:
            for pid, (name, dies_at) in list(self.alive.items()):
                self._tend_one(pid, name, dies_at)
            time.sleep(0.001)

    def _tend_one(self, pid: int, name: str, dies_at: float | None) -> None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del self.alive[pid]
            if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                raise SystemExit(f"the worker of {name} failed")
        elif dies_at is not None and time.monotonic() >= dies_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self.alive[pid]
            self.killed[name] += 1


def usual_times(run: RunFolder) -> dict[str, float]:
    """Seconds that each shard took."""
    return {
        shard: attempts[-1].last_sign - attempts[-1].started
        for shard, attempts in read_attempts(run.attempts).items()
    }


def main() -> None:
    """Compute the grid twice, report."""
    grid, folder, kills, seed = sys.argv[1:]
    for implementation in WARM:
        load(f"mtljobs.{implementation}")
    quiet = propose(grid, workspace=open_workspace(Path(folder, "quiet")))
    Nursery(freeze(quiet), early_kills=0, usual_s={}, seed=0).drive(read_states(quiet.run))
    killed = propose(grid, workspace=open_workspace(Path(folder, "killed")))
    nursery = Nursery(
        freeze(killed),
        early_kills=int(kills),
        usual_s=usual_times(quiet.run),
        seed=int(seed),
    )
    nursery.drive(read_states(killed.run))
    print(json.dumps(nursery.killed))


if __name__ == "__main__":
    main()
