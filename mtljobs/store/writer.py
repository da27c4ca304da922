"""The one process that may change a run's store and ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtljobs.errors import InputMissing
from mtljobs.ledger import claims
from mtljobs.ledger.files import remove_tree
from mtljobs.ledger.paths import RunFolder, create_folder

_POLL_S = 0.1


@dataclass(frozen=True)
class Writer:
    """The one process that may change a run's store and ledger.

    Attributes:
        aside: Its private folder for unfinished files, removed at the end.
    """

    claim: claims.Claim
    aside: Path

    def renew(self) -> None:
        """Say, each minute, that it is alive.

        Raises:
            InputMissing: It was silent for so long that another one has taken over.
        """
        if not self.claim.renew():
            raise InputMissing("This merge was silent for so long that another took over from it.")


@contextmanager
def sole_writer(run: RunFolder, *, wait_s: float) -> Iterator[Writer]:
    """While inside, nobody else changes the store or the ledger.

    Args:
        wait_s: How long to wait for somebody else to end.

    Raises:
        InputMissing: Another merge is still running after `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while (claim := claims.acquire(run.merging)) is None:
        if time.monotonic() > deadline:
            raise InputMissing(
                f"Another process is merging {run.name} ({claims.find_holder(run.merging)}). Merge "
                "again when it is done; one that was killed counts as such after five minutes."
            )
        time.sleep(_POLL_S)
    aside = claim.folder / str(claim.number)
    try:
        for left_by_the_dead in filter(Path.is_dir, claim.folder.iterdir()):
            remove_tree(left_by_the_dead)  # their claims are files and stay
        yield Writer(claim, create_folder(aside))
    finally:
        remove_tree(aside)
        claim.release()
