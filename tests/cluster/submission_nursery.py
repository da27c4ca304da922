"""A parent that forks submissions, which die at a line of theirs, and submits once more.

    python submission_nursery.py GRID WORKSPACE TRIALS

kills at TRIALS of the lines that a submission executes, spread evenly, each in a run of its own;
then a second submission must find or bring every shard into the queue exactly once, with the file
that its job needs, and one sweep. Prints a JSON line: kills per file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from mtljobs.cluster.marker import SWEEP, find_submissions
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.queue import read_queue
from mtljobs.cluster.submission import freeze
from mtljobs.cluster.sweep import submit_run
from mtljobs.ledger.paths import RunFolder, Workspace

WATCHED = tuple(f"mtljobs/cluster/{name}.py" for name in ("slurm", "slurm_driver", "marker"))
WATCHED += ("submitit/core/core.py", "submitit/core/utils.py", "submitit/slurm/slurm.py")


class Lines:
    """Counts the lines of a submission, each the first time; dies at one of them."""

    def __init__(self, dies_at: int | None) -> None:
        self.dies_at = dies_at
        self.seen: dict[tuple[str, int, int], None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> object:
        path = frame.f_code.co_filename
        if not path.endswith(WATCHED):
            return None
        if event == "line":
            self._count(path, frame.f_lineno)
        return self

    def _count(self, path: str, line: int) -> None:
        times = sum(1 for key in self.seen if key[:2] == (path, line))
        if times < 2:  # in the first array, and in what follows it
            self.seen[path, line, times] = None
            if len(self.seen) == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)


def submit_and_die(run: RunFolder, dies_at: int) -> bool:
    """Whether a submission in a child was killed."""
    pid = os.fork()
    if pid == 0:
        sys.settrace(Lines(dies_at))
        submit_run(run, retry_failed=False)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def check(run: RunFolder, names: set[str]) -> None:
    """Every shard is in the queue once, and its job has what it needs."""
    queue = read_queue(run)
    assert set(queue.shards) == names, (names - queue.shards.keys(), "lost")
    assert not queue.unfinished
    assert len(queue.sweeps) == 1, queue.sweeps
    effective: Counter[str] = Counter()
    queued = {*queue.shards.values(), *queue.sweeps}
    for folder, marker in find_submissions(run).items():
        if marker.job not in queued:
            continue
        for index, name in enumerate(marker.shards or (SWEEP,)):
            assert (folder / f"{marker.element(index)}_submitted.pkl").exists(), (folder, name)
            effective[name] += 1
    assert set(effective.values()) == {1}, effective


def main() -> None:
    """Count the lines, die at some, report."""
    grid, folder, trials = sys.argv[1:]
    workspace = Workspace(Path(folder))

    def new_run(name: str) -> RunFolder:
        proposal = propose(grid, workspace=workspace, run_name=name)
        freeze(proposal)
        return proposal.run

    quiet = new_run("quiet")
    lines = Lines(None)
    sys.settrace(lines)
    submit_run(quiet, retry_failed=False)
    sys.settrace(None)
    names = set(read_queue(quiet).shards)
    killed: Counter[str] = Counter()
    for trial in range(int(trials)):
        at = 1 + trial * (len(lines.seen) - 1) // max(1, int(trials) - 1)
        run = new_run(f"trial-{trial}")
        if submit_and_die(run, at):
            killed[Path([*lines.seen][at - 1][0]).name] += 1
        submit_run(run, retry_failed=False)
        submit_run(run, retry_failed=False)
        check(run, names)
    print(json.dumps(killed))


if __name__ == "__main__":
    main()
