"""A parent that has imported everything and computed nothing, and forks workers that get killed.

A fork starts in 18 ms where a new interpreter with torch takes seconds. Run as a program of its
own, as the test process has threads that a fork would lose.

    python nursery.py GRID FOLDER KILLS SEED

computes the grid in FOLDER/quiet, undisturbed, and in FOLDER/killed, where workers are killed at
any moment of the time that the first run took. Prints one JSON line: kills that hit a living
worker, per stage, and the number of attempts.
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
from pathlib import Path

from mtljobs import worker
from mtljobs.cluster.runs import propose
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
    """Drives a run with workers that it kills at random instructions until enough have died."""

    def __init__(
        self, plan_path: Path, *, kills: dict[str, int], longest_s: dict[str, float], seed: int
    ) -> None:
        self.plan_path = plan_path
        self.kills_left = kills
        self.longest_s = longest_s
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.attempts = 0
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
        self.attempts += 1
        stage = name.split("-", maxsplit=1)[0]
        dies_at = None
        if self.kills_left.get(stage, 0) > 0:
            dies_at = time.monotonic() + self.random.uniform(0, self.longest_s[stage])
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
        for pid, (name, dies_at) in list(self.alive.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self.alive[pid]
                if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                    raise SystemExit(f"the worker of {name} failed")
            elif dies_at is not None and time.monotonic() >= dies_at:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del self.alive[pid]
                self.kills_left[name.split("-")[0]] -= 1
                self.killed[name.split("-")[0]] += 1
        time.sleep(0.002)


def longest_times(run: RunFolder) -> dict[str, float]:
    """Seconds that the longest attempt of each stage took."""
    longest: dict[str, float] = {}
    for shard, attempts in read_attempts(run.attempts).items():
        stage = shard.split("-")[0]
        seconds = max(attempt.last_sign - attempt.started for attempt in attempts)
        longest[stage] = max(longest.get(stage, 0.0), seconds)
    return longest


def main() -> None:
    """Compute the grid twice, report."""
    grid, folder, kills, seed = sys.argv[1:]
    for implementation in WARM:
        load(f"mtljobs.{implementation}")
    quiet = propose(grid, workspace=open_workspace(Path(folder, "quiet")))
    Nursery(freeze(quiet), kills={}, longest_s={}, seed=0).drive(read_states(quiet.run))
    killed = propose(grid, workspace=open_workspace(Path(folder, "killed")))
    nursery = Nursery(
        freeze(killed),
        kills=dict.fromkeys(STAGES, -(-int(kills) // len(STAGES))),
        longest_s=longest_times(quiet.run),
        seed=int(seed),
    )
    nursery.drive(read_states(killed.run))
    print(json.dumps({"killed": nursery.killed, "attempts": nursery.attempts}))


if __name__ == "__main__":
    main()
