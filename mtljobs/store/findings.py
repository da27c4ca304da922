"""What a check of a run may find, in a closed set of words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Damage = Literal[
    "missing file", "changed file", "unknown file", "broken record", "unknown record",
    "missing record", "wrong metadata", "wrong plan", "unreadable chunk", "wrong values",
    "stale tables", "changed tables", "not reproduced",
]  # fmt: skip
"""What makes a run's results other than those that were computed.

    missing file      a record lists it, or the plan gives it to the store, and it is not there
    changed file      it does not hold the bytes that its record lists: its length, or its SHA-256
    unknown file      among results, and no record lists it
    broken record     it or its folder cannot be read, or it is not that of the shard in whose place
                      it stands
    unknown record    of a shard that the run's plan does not have
    missing record    files of a shard, or results made from them, are there, and no record
    wrong metadata    a store's own file says other than the plan: a `zarr.json`, a coordinate
    wrong plan        it cannot be read, is gone, lacks what an earlier one has, or a shard's
                      settings are not those of its identity
    unreadable chunk  its checksum or its encoding is broken, or its folder cannot be read
    wrong values      numbers that contradict each other, or `docs/format.md`
    stale tables      made from other records than those in the ledger
    changed tables    other bytes than were written, or than the store gives
    not reproduced    the same device model, image and versions give other bits now
"""

Note = Literal["missing items", "leftover", "mixed devices", "recomputed"]
"""What is worth knowing and is no damage.

    missing items  of a shard in the store: not run, or their input could not be read
    leftover       of a process that died; the next reduction removes it
    mixed devices  one network's attempts ran on several device models, or in several images
    recomputed     what came of computing a shard again
"""

Kind = Damage | Note


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was left, or worth knowing.

    Attributes:
        kind: As `Damage` and `Note` say.
        path: The file or folder that it is about.
        shard: Whose results these are; None where they are no shard's.
        detail: What was expected, what was found, and what to do.
    """

    kind: Kind
    path: Path
    shard: str | None
    detail: str

    @property
    def is_note(self) -> bool:
        """Whether it is worth knowing and no damage."""
        return self.kind in get_args(Note)


@dataclass
class Checked:
    """How much was looked at so far.

    Attributes:
        shards: With a record.
        not_done: Planned, without one: no damage, a run may be incomplete.
        files: That records list.
        bytes: That were read and hashed.
        chunks: That were decoded.
        missing_items: With status 0 or 8.
        recomputed: Shards that were computed again.
    """

    shards: int = 0
    not_done: int = 0
    files: int = 0
    bytes: int = 0
    chunks: int = 0
    missing_items: int = 0
    recomputed: int = 0
