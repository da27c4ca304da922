"""Two processes at a time, some on the same shard, killed at random instructions.

    python at_random.py FOLDER SEED BACKEND

Prints one JSON line: who was killed how often, and what is different from an undisturbed store.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from protocol import LAYOUT, Site, Task, add_superpixels, compare, fork, new_site, wait

KILLS = {"block": 50, "network": 20, "merge": 30}
"""How many processes of each kind die before the rest is done in peace."""

DUPLICATES = 5
"""How often a shard is begun before that while another process works on it."""

PLANS = (LAYOUT, replace(LAYOUT, sparsities=(0.0, 0.5, 0.25), seeds=(0, 1, 2, 3)))
NETWORKS = 80


class Killer:
    """Keeps two processes at work, and kills many of them at random moments of their lives."""

    def __init__(self, site: Site, lifetimes_s: dict[str, float], seed: int) -> None:
        self.site = site
        self.lifetimes_s = lifetimes_s
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.duplicates = 0
        self.alive: dict[int, tuple[Task, float]] = {}

    def work(self) -> None:
        """Work until enough processes have died and met; the plan grows on the way."""
        while self.site.todo() and (
            self.duplicates < DUPLICATES or any(self.killed[kind] < KILLS[kind] for kind in KILLS)
        ):
            if sum(self.killed.values()) > 20:
                self.site.submit(1)
            while len(self.alive) < 2:
                self.start()
            self.tend()
        while self.alive:
            self.tend()

    def start(self) -> None:
        todo = self.site.todo()
        others = [task for task, _ in self.alive.values() if task[0] != "merge"]
        task: Task = ("merge", None)
        if others and self.random.random() < 0.3:
            task = others[0]
            self.duplicates += 1
        elif todo and self.random.random() < 0.75:
            kind = self.random.choice(sorted({kind for kind, _ in todo}))
            task = self.random.choice([task for task in todo if task[0] == kind])
        # Up to two undisturbed lives: two share the machine. Every third one is spared.
        life_s = self.random.uniform(0, 2 * self.lifetimes_s[task[0]])
        end = math.inf if self.random.random() < 1 / 3 else time.monotonic() + life_s
        self.alive[fork(self.site, task)] = (task, end)

    def tend(self) -> None:
        """Kill those whose moment has come, and bury the dead."""
        time.sleep(0.0005)
        for pid, ((kind, _), moment) in list(self.alive.items()):
            if time.monotonic() > moment:
                os.kill(pid, signal.SIGKILL)
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                del self.alive[pid]
                self.killed[kind] += wait(pid)


def measure(site: Site) -> dict[str, float]:
    """How long an undisturbed process of each kind lives, in seconds."""
    lifetimes_s: dict[str, list[float]] = {}
    for kind, what in [*site.todo()[:5], *site.todo()[-5:], *[("merge", None)] * 5]:
        start = time.monotonic()
        wait(fork(site, (kind, what)))
        lifetimes_s.setdefault(kind, []).append(time.monotonic() - start)
    return {kind: statistics.median(values) for kind, values in lifetimes_s.items()}


def prepare(folder: Path, backend: str) -> Site:
    site = new_site(folder, *PLANS, networks=NETWORKS, backend=backend)
    add_superpixels(site)
    return site


def main(folder: Path, seed: int, backend: str) -> None:
    lifetimes_s = measure(prepare(folder / "measured", backend))
    quiet = prepare(folder / "quiet", backend)
    quiet.submit(1)
    wait(fork(quiet, ("rest", None)))
    killer = Killer(prepare(folder / "killed", backend), lifetimes_s, seed)
    killer.work()
    left = len(killer.site.todo())
    wait(fork(killer.site, ("rest", None)))
    counts = {"killed": killer.killed, "duplicates": killer.duplicates, "left": left}
    print(json.dumps(counts | compare(killer.site, quiet)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
