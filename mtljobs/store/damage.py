"""Whose results in a store are not what was merged, for readers that cannot make sense of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.records import check_file, read_record


@contextmanager
def naming_damage(run: RunFolder) -> Iterator[None]:
    """While inside, the error of a reader that met a damaged store says how to mend the store.

    Raises:
        CorruptionError: Instead of the reader's own error, where a chunk is damaged.
    """
    try:
        yield
    except (ValueError, CorruptionError) as error:
        damage = find_damage(run)
        if not damage:
            raise
        records = ", ".join(path.name for path in damage)
        raise CorruptionError(
            f"the store is damaged: {next(iter(damage.values()))}. Move {records} out of "
            f"{run.ledger} and run `mtljobs resume {run.name}`, which computes what they list "
            "again; everything else is as it was."
        ) from error


def find_damage(run: RunFolder) -> dict[Path, str]:
    """The records of the ledger whose chunks are gone or changed -> what is wrong with the first.

    Reads the whole store.
    """
    damage = {}
    for path in sorted(run.ledger.glob("*.json")):
        try:
            for name, (sha256, size) in read_record(path).files.items():
                check_file(run.store / name, sha256=sha256, size=size)
        except CorruptionError as error:
            damage[path] = str(error)
    return damage
