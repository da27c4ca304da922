"""A process killed before its first operation on a file, another before its second, and so on.

    python at_every_operation.py FOLDER BACKEND STEP SITUATION...

With a STEP of 3, only before the first, the fourth, the seventh.

Each victim starts from the same situation; afterwards the work is finished in peace. Prints one
JSON line: per situation the number of victims, and what was different from an undisturbed store.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from protocol import BAD_CHUNK, LAYOUT, Site, Task, add_superpixels, compare, fork, new_site, wait

TINY = replace(LAYOUT, sparsities=(0.0,), seeds=(0,), images=LAYOUT.images[:5])
GROWN = replace(TINY, seeds=(0, 1))
CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.utime"}


def die_before(number: int) -> Callable[[], None]:
    """What a victim calls first, to be killed before its `number`-th change of a file.

    Opening a file to write counts twice: before it, and when the file is there but empty.
    """
    left = number

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        opens = event == "open" and bool(int(args[2]) & os.O_ACCMODE)
        if left <= 0 or not (opens or event in CHANGES):
            return
        left -= 1 + opens
        if left > 0:
            return
        if opens and left == 0:
            os.open(args[0], args[2])
        os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(watch)


def new_start(folder: Path, backend: str) -> Site:
    """A store from before the superpixels came and the plan grew."""
    site = new_site(folder, TINY, GROWN, networks=1, backend=backend)
    wait(fork(site, ("merge", None)))
    add_superpixels(site)
    return site


def start_of_block(folder: Path, backend: str) -> Site:
    site = new_start(folder, backend)
    site.submit(1)
    wait(fork(site, ("merge", None)))
    return site


def start_of_merge(folder: Path, backend: str) -> Site:
    site = new_start(folder, backend)
    wait(fork(site, ("block", (0, 0, 1))))
    site.submit(1)
    return site


def start_of_requeue(folder: Path, backend: str) -> Site:
    """A finished run with a damaged chunk, network and coordinate, and a foreign file."""
    site = new_start(folder, backend)
    site.submit(1)
    wait(fork(site, ("rest", None)))
    (site.workspace.networks / f"{0:064x}" / "weights").write_bytes(b"?")
    if site.store.is_file():
        with site.store.open("ab") as file:
            file.write(b"?")
        return site
    for name in (BAD_CHUNK, "small/depth/seed/c.0"):
        (site.store / name).write_bytes(b"?")
    (site.store / "note").touch()
    return site


SITUATIONS: dict[str, tuple[Callable[[Path, str], Site], Task, str]] = {
    "block": (start_of_block, ("block", (0, 1, 1)), "rest"),
    "network": (start_of_block, ("network", f"{0:064x}"), "rest"),
    "merge": (start_of_merge, ("merge", None), "rest"),
    "requeue": (start_of_requeue, ("requeue", None), "mend"),
}
"""Where a victim starts, what it does, and what is done after it in peace."""


def kill_at_each(
    start: Site, victim: Task, after: str, *, quiet: Site, step: int
) -> dict[str, object]:
    """Kill the victim before each of its operations, or each `step`-th, in turn."""
    site = replace(start, folder=start.folder.with_name("killed"))
    victims = 0
    while True:
        shutil.copytree(start.folder, site.folder)
        was_killed = wait(fork(site, victim, before=die_before(victims * step + 1)))
        wait(fork(site, (after, None)))
        found = compare(site, quiet)
        shutil.rmtree(site.folder)
        victims += was_killed
        if not was_killed or found["different"] or found["leftovers"]:
            return found | {"victims": victims}


def main(folder: Path, backend: str, *, step: int, situations: list[str]) -> None:
    quiet = new_start(folder / "quiet", backend)
    quiet.submit(1)
    wait(fork(quiet, ("rest", None)))
    found = {
        name: kill_at_each(prepare(folder / name, backend), victim, after, quiet=quiet, step=step)
        for name in situations
        for prepare, victim, after in [SITUATIONS[name]]
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], step=int(sys.argv[3]), situations=sys.argv[4:])
