"""A worker without a stage, for tests of what is around it: counts, and goes on where it stopped.

    python light_worker.py BEHAVIOUR SUBMISSION

counts to $MTLJOBS_GOAL in steps of 50 ms, in the run's file `count`, and begins and ends its
attempt as the real one does. BEHAVIOUR says what it does otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from mtljobs.ledger import attempts
from mtljobs.ledger.files import read_json

LISTENING = ExitStack()
GOAL = int(os.environ.get("MTLJOBS_GOAL", "4"))


class Stop:
    """As the worker's `StopSignal`, which takes longer to import; notes what it hears."""

    def __init__(self, heard: Path) -> None:
        self.heard = heard
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._hear)

    def __call__(self) -> bool:
        return self.asked

    def _hear(self, *_: object) -> None:
        self.asked = True
        with self.heard.open("a") as file:
            file.write("told\n")


def main(behaviour: str, folder: Path) -> int:
    run = folder.parent.parent
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    shard = read_json(folder / "shards.json")["shards"][index]
    if behaviour == "unstarted":
        sys.exit("ImportError: no such module")
    if behaviour == "file missing":
        sys.exit("RuntimeError: Waited for 60 seconds but could not find submitted jobs in path:\n")
    if behaviour == "slow":
        (run / "began").touch()
        time.sleep(60)
    stop = Stop(run / "heard")
    if behaviour == "forks":
        stop = _fork_children()
    attempt = attempts.begin(run / "attempts", shard, device="cpu")
    (run / "began").touch()
    try:
        if behaviour in ENDS:
            ENDS[behaviour]()
        outcome, detail = _count(behaviour, run / "count", stop)
    except BaseException:
        attempt.end("failed", traceback.format_exc())
        raise
    attempt.end(outcome, detail)
    return 0


def _count(behaviour: str, path: Path, stop: Callable[[], bool]) -> tuple[attempts.Outcome, str]:
    if behaviour == "duplicate":
        return "duplicate", ""
    count = int(path.read_text()) if path.exists() else 0
    while count < GOAL:
        time.sleep(0.05)
        if stop() and behaviour in WHEN_TOLD:
            WHEN_TOLD[behaviour]()
        if stop() and behaviour == "finishes when told":
            break
        if stop() and behaviour != "deaf":
            path.write_text(str(count))
            return "preempted", f"stopped before {count}"
        count += behaviour != "still"
    path.write_text(str(count))
    return "done", ""


def _fork_children() -> Callable[[], bool]:
    """As a library does that forks on its own, after the worker has begun to listen."""
    from mtljobs.worker import StopSignal

    stop = StopSignal()
    LISTENING.enter_context(stop.installed())
    for _ in range(2):
        if os.fork() == 0:
            while True:
                time.sleep(300)
    return stop


def _fail() -> None:
    raise ValueError("no such thing")


def _crash() -> None:
    print("free(): invalid pointer", flush=True)
    os.kill(os.getpid(), signal.SIGABRT)


def _break() -> None:
    raise OSError(107, "Transport endpoint is not connected")


def _take_memory() -> None:
    bytearray(int(os.environ["MTLJOBS_MEGABYTES"]) << 20)


ENDS = {
    "fails": _fail,
    "crashes": _crash,
    "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "grows": _take_memory,
}
WHEN_TOLD = {
    "breaks when told": _break,
    "reads when told": lambda: import_module("sqlite3"),  # from the image, if that is still there
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
