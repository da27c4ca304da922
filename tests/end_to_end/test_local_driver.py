"""The local driver with real submitit jobs: killed workers, Ctrl-C, a killed driver."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtljobs.ledger.attempts import AttemptState, read_attempts
from mtljobs.ledger.paths import RunFolder, log_file

TINY = """
[[experiment]]
name = "tiny"
data = { name = "rooms", size = [32, 32], train = 8, test = 4 }
model = { name = "segnet_mtan", width = 0.0625 }
tasks = [{ name = "depth" }]
training = { iterations = 150, batch = 4 }
pruning = { name = "netslim" }
sparsities = [0.0]
seeds = [0]
explain = { images = 4, superpixels = { name = "slic", n_segments = 16 } }

[resources]
checkpoint_every_s = 0.2
"""


class Shell:
    """A user's shell: `mtljobs` with a workspace of its own, and no process left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.grid = folder / "tiny.toml"
        self.grid.write_text(TINY, encoding="utf-8")
        self.output = folder / "output.txt"
        self.run = RunFolder(folder / "runs" / "tiny")
        self.environment = {**os.environ, "MTLJOBS_WORKSPACE": str(folder / "runs")}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        # A file, not a pipe: workers inherit it, and a pipe would stay open with them.
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "mtljobs", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def call(self, *arguments: str) -> tuple[int, str]:
        return self.finish(self.start(*arguments))

    def finish(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        return process.wait(), self.output.read_text(encoding="utf-8")

    def status(self) -> dict[str, Any]:
        _, output = self.call("status", "tiny", "--json")
        values: dict[str, Any] = json.loads(output)
        return values

    def wait_for_training(self) -> int:
        """The pid of the worker that trains, once its attempt has begun to."""
        trains: list[AttemptState] = []

        def has_begun() -> bool:
            trains[:] = [attempt for attempt in self.live("train") if self._iterates(attempt)]
            return bool(trains)

        until(has_begun)
        assert trains[0].process is not None
        return trains[0].process.pid

    def live(self, stage: str = "") -> list[AttemptState]:
        attempts = read_attempts(self.run.attempts)
        return [
            attempt
            for name, states in attempts.items()
            for attempt in states
            if name.startswith(stage) and attempt.state == "running"
        ]

    def _iterates(self, attempt: AttemptState) -> bool:
        log = log_file(self.run, attempt.shard, attempt.number)
        return log.is_file() and " iterations" in log.read_text(encoding="utf-8")


def until(condition: Callable[[], bool]) -> None:
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen within two minutes")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.call("cancel", "tiny")
    until(lambda: not shell.live())


def test_killed_worker_waits_for_resume_which_ends_in_the_bytes_of_an_undisturbed_run(
    shell: Shell, tmp_path: Path
) -> None:
    driver = shell.start("submit", "--grid", str(shell.grid), "--executor", "local")
    os.kill(shell.wait_for_training(), signal.SIGKILL)
    returncode, output = shell.finish(driver)
    assert returncode == 1, output
    states = {shard["stage"]: shard["state"] for shard in shell.status()["shards"]}
    assert states == {
        "segment": "done",
        "train": "vanished",
        "evaluate": "blocked",
        "explain": "blocked",
    }

    driver = shell.start("resume", "tiny", "--executor", "local")
    shell.wait_for_training()
    driver.send_signal(signal.SIGINT)
    returncode, output = shell.finish(driver)
    assert returncode == 3, output
    assert "`mtljobs resume` goes on" in output

    returncode, output = shell.call("resume", "tiny", "--executor", "local")
    assert returncode == 0, output
    assert "Open the results in Python" in output
    assert shell.status()["complete"]

    other = tmp_path / "undisturbed"
    other.mkdir()
    undisturbed = Shell(other)
    returncode, output = undisturbed.call(
        "submit", "--grid", str(undisturbed.grid), "--executor", "local"
    )
    assert returncode == 0, output
    names = sorted(path.relative_to(shell.run.store) for path in shell.run.store.rglob("*"))
    files = [str(name) for name in names if (shell.run.store / name).is_file()]
    _, different, missing = filecmp.cmpfiles(
        shell.run.store, undisturbed.run.store, files, shallow=False
    )
    assert (different, missing) == ([], [])


def test_workers_outlive_a_killed_driver_and_a_second_submit_computes_nothing_twice(
    shell: Shell,
) -> None:
    driver = shell.start("submit", "--grid", str(shell.grid), "--executor", "local")
    worker = shell.wait_for_training()
    driver.kill()
    driver.wait()
    assert [attempt.process.pid for attempt in shell.live("train") if attempt.process] == [worker]
    returncode, output = shell.call("submit", "--grid", str(shell.grid), "--executor", "local")
    assert returncode == 0, output
    assert shell.call("submit", "--grid", str(shell.grid), "--executor", "local")[0] == 0
    attempts = read_attempts(shell.run.attempts)
    assert {name.split("-")[0]: len(states) for name, states in attempts.items()} == {
        "segment": 1,
        "train": 1,
        "evaluate": 1,
        "explain": 1,
        "reduce": 1,
    }


def test_detached_run_is_followed_by_wait_and_stopped_by_cancel(shell: Shell) -> None:
    returncode, output = shell.call(
        "submit", "--grid", str(shell.grid), "--executor", "local", "--detach"
    )
    assert returncode == 0, output
    shell.wait_for_training()
    assert "is being driven already" in shell.call("resume", "tiny", "--executor", "local")[1]
    shell.call("cancel", "tiny")
    returncode, _ = shell.call("wait", "tiny")
    assert returncode == 3
    states = {shard["stage"]: shard["state"] for shard in shell.status()["shards"]}
    # Segmenting runs beside the training: the cancel meets it or finds it done.
    assert states.pop("segment") in ("done", "preempted")
    assert states == {"train": "preempted", "evaluate": "blocked", "explain": "blocked"}
    assert shell.live() == []
