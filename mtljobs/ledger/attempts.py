"""Attempts: what each execution of a shard says of itself, joined with what its host says of it.

<shard>.<n>.json        written by the worker alone: start, renewal each minute, own end
<shard>.<n>.host.json   written by whoever started the worker: exit code, signal, cause, detail
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, overload

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import create_file, read_json, replace_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity, is_over
from mtljobs.ledger.paths import create_folder

Outcome = Literal[
    "done", "duplicate", "waiting", "preempted", "timed out", "out of memory", "node lost",
    "cancelled", "failed",
]  # fmt: skip
"""How an attempt says, or its host says for it, that it ended."""

COUNTS_ALWAYS: frozenset[str] = frozenset({"done", "duplicate", "waiting"})
"""What a worker says and no host can know better: its word counts, whatever came after it."""

State = Outcome | Literal["running", "vanished"]
"""What an attempt is now; *vanished*: no sign of life, and nobody wrote an end."""


@dataclass(frozen=True)
class Attempt:
    """The running attempt, in the hands of the worker that makes it.

    Attributes:
        path: Its file.
        shard: Name of the shard.
        number: 1 for the shard's first attempt.
        started: Seconds since 1970.
        process: The worker.
        device: What computes, as in "cpu" or "NVIDIA H200".
        image: SHA-256 of the container image that it runs in; empty where there is none.
    """

    path: Path
    shard: str
    number: int
    started: float
    process: ProcessIdentity
    device: str
    image: str

    def beat(self) -> None:
        """Say that the attempt is alive; due each minute."""
        os.utime(self.path)

    def end(self, outcome: Outcome, detail: str) -> None:
        """Say how the attempt ended; the last thing a worker does."""
        end = {"outcome": outcome, "detail": detail, "ended": time.time()}
        replace_file(self.path, to_json(self._start() | end))

    def _start(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "process": self.process.to_json(),
            "device": self.device,
            "image": self.image,
        }


@dataclass(frozen=True)
class AttemptState:
    """One attempt as anybody sees it.

    Attributes:
        shard: Name of the shard.
        number: 1 for the shard's first attempt.
        state: What it is now.
        detail: A reason or traceback; may be empty.
        started: Seconds since 1970; of the first sign where the start cannot be read.
        last_sign: Seconds since 1970 of its end or latest renewal.
        process: The worker; None where its file cannot be read.
        device: What computed; empty where unknown.
        image: SHA-256 of the container image; empty where there was none.
        exit_code: As its host saw it; None where no host said.
        signal: That ended it, as its host saw it.
        outcome: How its worker says that it ended; None where it could not, or has not yet.
    """

    shard: str
    number: int
    state: State
    detail: str
    started: float
    last_sign: float
    process: ProcessIdentity | None
    device: str
    image: str
    exit_code: int | None
    signal: int | None
    outcome: Outcome | None = None


def begin(folder: Path, shard: str, *, device: str, image: str = "") -> Attempt:
    """Begin the shard's next attempt, under a number that no other attempt has."""
    create_folder(folder)
    taken = [number for name, number in _list(folder) if name == shard]
    for number in itertools.count(max(taken, default=0) + 1):
        attempt = Attempt(
            path=folder / f"{shard}.{number}.json",
            shard=shard,
            number=number,
            started=time.time(),
            process=ProcessIdentity.current(),
            device=device,
            image=image,
        )
        if create_file(attempt.path, to_json(attempt._start())):
            return attempt
    raise AssertionError("itertools.count ended")


def report_from_host(
    folder: Path,
    shard: str,
    number: int,
    *,
    exit_code: int | None,
    signal: int | None,
    cause: Outcome | None,
    detail: str = "",
) -> None:
    """Say what the host saw of an attempt: an exit code, or the signal that ended it, and why.

    May be said again when more is known.

    Args:
        cause: What the host knows of the end: that the job was preempted, say, which counts more
            than the error that a worker met when its image was taken away. It yields to an end in
            `COUNTS_ALWAYS`. None: the worker's own word stands.
        detail: In the place of the worker's, where it is not empty.
    """
    values = {"exit_code": exit_code, "signal": signal, "cause": cause, "detail": detail}
    replace_file(folder / f"{shard}.{number}.host.json", to_json(values))


def read_attempts(folder: Path) -> dict[str, list[AttemptState]]:
    """Every attempt by shard, in the order of their numbers."""
    states: dict[str, list[AttemptState]] = {}
    for shard, number in _list(folder):
        state = _read(folder, shard, number)
        if state is not None:
            states.setdefault(shard, []).append(state)
    return states


def read_shard(folder: Path, shard: str) -> list[AttemptState]:
    """The attempts at one shard, in the order of their numbers."""
    states = (_read(folder, name, number) for name, number in _list(folder) if name == shard)
    return [state for state in states if state is not None]


class Attempts(Sequence[AttemptState]):
    """The attempts at one shard, oldest first; their files are read at the first look."""

    def __init__(self, folder: Path, shard: str, numbers: Sequence[int]) -> None:
        self._files = folder, shard, numbers

    @cached_property
    def _states(self) -> list[AttemptState]:
        folder, shard, numbers = self._files
        states = (_read(folder, shard, number) for number in numbers)
        return [state for state in states if state is not None]

    @overload
    def __getitem__(self, index: int) -> AttemptState: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AttemptState]: ...
    def __getitem__(self, index: int | slice) -> AttemptState | Sequence[AttemptState]:
        return self._states[index]

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[AttemptState]:
        return iter(self._states)


def find_attempts(folder: Path) -> dict[str, Attempts]:
    """Every attempt by shard, known by the names of the files alone until somebody looks."""
    numbers: dict[str, list[int]] = {}
    for shard, number in _list(folder):
        numbers.setdefault(shard, []).append(number)
    return {shard: Attempts(folder, shard, own) for shard, own in numbers.items()}


def is_running(folder: Path, shard: str) -> bool:
    """Whether an attempt at the shard is alive as far as anybody can tell."""
    return any(attempt.state == "running" for attempt in read_shard(folder, shard))


def _list(folder: Path) -> list[tuple[str, int]]:
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 (ten times as fast)
    found = []
    for name in names:
        shard, _, number = name.removesuffix(".json").rpartition(".")
        if shard and number.isdecimal() and name.endswith(".json") and name[0] != ".":
            found.append((shard, int(number)))
    return sorted(found)


def _read(folder: Path, shard: str, number: int) -> AttemptState | None:
    path = folder / f"{shard}.{number}.json"
    try:
        last_sign = path.stat().st_mtime
    except FileNotFoundError:
        return None
    worker = _read_values(path)
    host = _read_values(folder / f"{shard}.{number}.host.json")
    process = ProcessIdentity.from_json(worker.get("process"))
    outcome, cause = _known(worker.get("outcome")), _known(host.get("cause"))
    counts = outcome in COUNTS_ALWAYS
    state: State | None = outcome if counts else cause or outcome
    if state is None:
        state = "vanished" if host or is_over(process, last_sign=last_sign) else "running"
    return AttemptState(
        shard=shard,
        number=number,
        state=state,
        detail=(not counts and host.get("detail")) or worker.get("detail", ""),
        started=worker.get("started", last_sign),
        last_sign=worker.get("ended", last_sign),
        process=process,
        device=worker.get("device", ""),
        image=worker.get("image", ""),
        exit_code=host.get("exit_code"),
        signal=host.get("signal"),
        outcome=outcome,
    )


def _known(word: object) -> Outcome | None:
    return next((outcome for outcome in get_args(Outcome) if outcome == word), None)


def _read_values(path: Path) -> dict[str, Any]:
    """What a file of an attempt says; nothing where it is missing or was cut short."""
    try:
        values = read_json(path)
    except (FileNotFoundError, CorruptionError):
        return {}
    return values if isinstance(values, dict) else {}
