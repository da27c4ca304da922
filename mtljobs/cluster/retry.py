"""What is tried again on Slurm, by the cause of an attempt's end."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from mtljobs.ledger.attempts import AttemptState

_FRAME = re.compile(r'^ +File ".*", line \d+, in .*$', flags=re.MULTILINE)


def repeated_traceback(
    attempts: Mapping[str, Sequence[AttemptState]], *, limit: int
) -> tuple[str, list[str]] | None:
    """One error of the code that stops several shards: its text, and the shards' names.

    Args:
        attempts: Of the shards of one stage, by name, oldest first; the last one counts.
        limit: How many shards must fail with it.
    """
    failed: defaultdict[str, list[str]] = defaultdict(list)
    for shard, made in attempts.items():
        if made and made[-1].state == "failed":
            failed[_kind(made[-1].detail)].append(shard)
    for shards in failed.values():
        if len(shards) >= limit:
            return attempts[shards[-1]][-1].detail, shards
    return None


def _kind(detail: str) -> str:
    """What two tracebacks of one error share: frames and type, or a message but for numbers."""
    frames = _FRAME.findall(detail)
    if not frames:
        return re.sub(r"\d+", "#", detail)
    last = detail.strip().splitlines()[-1]
    return "\n".join([*frames, last.partition(":")[0]])
