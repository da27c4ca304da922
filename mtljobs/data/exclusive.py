"""One `prepare` of a data set at a time, on any host that sees the workspace."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from mtljobs.errors import UserError
from mtljobs.ledger.claims import Claim, acquire
from mtljobs.ledger.files import remove_tree

RENEW_S = 60.0


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep a second `prepare` of the same data set out; leave nothing half-written behind.

    Raises:
        UserError: Somebody else is preparing it.
    """
    claims, aside = folder / "claims", folder / "aside"
    claim = acquire(claims)
    if claim is None:
        raise UserError(f"another process is preparing {folder}: wait for it, or stop it first.")
    try:
        with _renewed(claim):
            remove_tree(aside)  # what a killed one left
            yield
    finally:
        if claim.renew():  # else all of it is its successor's
            remove_tree(aside)
            remove_tree(claims)  # not released before: what a newcomer creates meanwhile stays
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing was finished


@contextlib.contextmanager
def _renewed(claim: Claim) -> Iterator[None]:
    """Give a sign of life each minute, in a thread: a part may take longer."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_S):
            with contextlib.suppress(OSError):  # a file system may answer in a minute
                claim.renew()

    thread = threading.Thread(target=renew, name="renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
