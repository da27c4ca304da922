"""What can go wrong, by who can mend it.

Every message says what was received, what was expected and what to do next; code on the way up
adds where it happened with `add_note`.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import ClassVar

NAMED = 12
"""Valid words that a message lists at most."""


class MtljobsError(Exception):
    """Any error that mtljobs raises on purpose.

    Attributes:
        exit_code: Of a command that it ends: 1 failed, 2 usage, 3 incomplete.
    """

    exit_code: ClassVar[int] = 1


class UserError(MtljobsError):
    """The user can mend it: printed as one paragraph without a traceback."""

    exit_code: ClassVar[int] = 2


class GridError(UserError):
    """A grid file, or a choice in it, cannot be what the user meant."""


class ProfileError(UserError):
    """A profile of a cluster cannot be what the user meant."""


class StaleSlotError(UserError):
    """A slot of the run holds results of other settings; nothing in a store is overwritten."""


class MissingExtraError(UserError):
    """The command computes, and the packages of `mtljobs[compute]` are not installed."""


class DrivenAlreadyError(UserError):
    """Somebody works on the run already, and takes up what was added to it."""

    exit_code: ClassVar[int] = 3


class DataError(UserError):
    """A file of a data set is missing, unreadable, or holds what its description excludes."""


class WeightsError(UserError):
    """A file of initial weights is missing, not the one that was named, or of another network."""


class DivergedError(UserError):
    """A training's losses are not what its settings can learn from: not finite, say."""


class CorruptionError(MtljobsError):
    """Bytes on disk are not the bytes that were written: a checkpoint, a chunk, a record."""


class StopRequested(MtljobsError):  # noqa: N818 (an event, not a fault)
    """The worker was asked to stop and its checkpoint is written; raised by a stage, once."""

    exit_code: ClassVar[int] = 3


class InputMissing(MtljobsError):  # noqa: N818 (an event, not a fault)
    """A parent shard is not done, or another live attempt holds the claim: try again later."""

    exit_code: ClassVar[int] = 3


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with what it counts, for a message; `many` where that is not `one` with an s.

    Example:
        >>> counted(1, "shard"), counted(1200, "shard"), counted(2, "process", "processes")
        ('1 shard', '1,200 shards', '2 processes')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def full_disk_advice(error: BaseException) -> str | None:
    """What to do where an error says that a disk or a quota is full; None where it does not."""
    if not isinstance(error, OSError) or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return None
    place = f" for {error.filename}" if error.filename else ""
    return (
        f"{error.strerror}{place}: make room where the workspace lies, or raise its quota; then "
        "`mtljobs resume` takes a run up from its last checkpoints, and any other command goes on "
        "when it is given again. What is finished stays."
    )


def misplaced_advice(error: OSError) -> str | None:
    """What to do where a path cannot be used as it lies; None where that is not the error."""
    if isinstance(error, (NotADirectoryError, IsADirectoryError)):
        return (
            f"{error.strerror}: {error.filename}. A file lies where a folder belongs, or a folder "
            "in the place of a file: move it away and give the command again."
        )
    if isinstance(error, PermissionError):
        return (
            f"{error.strerror}: {error.filename}. You may not use it as it is: ask its owner, or "
            "choose another workspace; for a project's shared folder a profile sets `umask`."
        )
    return None


def nearest(word: str, valid: Iterable[str]) -> str:
    """A clause for a message that names what a misspelt word may have meant.

    Example:
        >>> nearest("netslimm", ["netslim", "hrank"])
        " (did you mean 'netslim'?)"
        >>> nearest("x", ["netslim", "hrank"])
        ' (valid: hrank, netslim)'
    """
    words = sorted(valid)
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.6)
    if near:
        return f" (did you mean {' or '.join(map(repr, near))}?)"
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f" (valid: {', '.join(words[:NAMED])}{more})" if words else ""
