"""Claims: who works on what several processes could do, so that it is not done twice.

A claim is a folder of numbered files, and the highest number is the claim. To take a free or dead
claim is to create the next number, which the file system lets one process do. No file that
somebody may hold is ever replaced or removed by another, so a claimant that slept through its own
death cannot harm its successor: it finds a higher number than its own.

Claims save work only. What is done is decided by the rename in `commit`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtljobs.errors import CorruptionError
from mtljobs.ledger.files import create_file, read_json, replace_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity, is_over
from mtljobs.ledger.paths import create_folder

_KEPT = 100
"""Old numbers that stay, so that a stalled process meets them instead of reusing them."""


@dataclass(frozen=True)
class Claim:
    """A claim that this process holds, under a number that was never anybody else's."""

    folder: Path
    number: int

    @property
    def path(self) -> Path:
        """The claim's file."""
        return self.folder / f"{self.number}.json"

    def renew(self) -> bool:
        """Say that the holder is alive, due each minute; False once another has taken over."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        return _newest(self.folder) == self.number

    def release(self) -> None:
        """Let the next one in."""
        # The folder goes with the scratch of a shard that is done: then nothing is held.
        with contextlib.suppress(FileNotFoundError):
            replace_file(self.path, to_json({"released": True}))


def acquire(folder: Path) -> Claim | None:
    """Claim what a folder stands for; None where somebody holds it who may be alive."""
    numbers = _numbers(folder)
    newest = numbers[-1] if numbers else 0
    if newest and _is_live(folder / f"{newest}.json"):
        return None
    claim = Claim(folder, newest + 1)
    try:
        create_folder(folder)
        is_first = create_file(claim.path, to_json(ProcessIdentity.current().to_json()))
    except FileNotFoundError:
        return None  # The holder has just finished, and its scratch goes with all that is in it.
    if not is_first or _newest(folder) != claim.number:
        return None
    for number in numbers[:-_KEPT]:
        (folder / f"{number}.json").unlink(missing_ok=True)
    return claim


def is_held(folder: Path) -> bool:
    """Whether somebody holds the claim who may be alive."""
    newest = _newest(folder)
    return newest > 0 and _is_live(folder / f"{newest}.json")


def find_holder(folder: Path) -> ProcessIdentity | None:
    """Who made the newest claim, for messages; None where nobody did, or it cannot be read."""
    return ProcessIdentity.from_json(_read(folder / f"{_newest(folder)}.json"))


def _is_live(path: Path) -> bool:
    try:
        last_sign = path.stat().st_mtime
    except FileNotFoundError:
        return False
    values = _read(path)
    process = ProcessIdentity.from_json(values)
    return "released" not in values and not is_over(process, last_sign=last_sign)


def _read(path: Path) -> dict[str, Any]:
    """What a claim says; nothing where it was cut short, and then only silence can end it."""
    try:
        values = read_json(path)
    except (FileNotFoundError, CorruptionError):
        return {}
    return values if isinstance(values, dict) else {}


def _newest(folder: Path) -> int:
    return max(_numbers(folder), default=0)


def _numbers(folder: Path) -> list[int]:
    try:
        names = [path.stem for path in folder.iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())
