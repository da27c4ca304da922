"""What processes that died have left; harmless, and swept away by the next reduction."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mtljobs.ledger import claims
from mtljobs.ledger.commit import find_dead, find_dead_shared
from mtljobs.ledger.files import is_unfinished
from mtljobs.ledger.liveness import SILENCE_LIMIT_S
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.store.findings import Finding
from mtljobs.store.unreadable import unreadable


def find_leftovers(run: RunFolder, workspace: Workspace) -> Iterator[Finding]:
    """Folders of dead attempts and merges, and files that were being written when somebody died."""
    looks = (
        partial(find_dead, run),
        partial(find_dead_shared, workspace),
        partial(_dead_merges, run),
    )
    for look in looks:
        try:
            dead = look()
        except OSError as error:  # nobody can tell the dead from the living
            yield unreadable("leftover", error)
            continue
        for folder in dead:
            detail = "a dead process worked here; `mtljobs reduce` removes it"
            yield Finding("leftover", folder, None, detail)
    for path in (*_unfinished(run.root), *_unfinished(workspace.shared)):
        detail = "was being written when its process died; it may be removed"
        yield Finding("leftover", path, None, detail)


def _dead_merges(run: RunFolder) -> list[Path]:
    if not run.merging.is_dir() or claims.is_held(run.merging):
        return []
    return [path for path in sorted(run.merging.iterdir()) if path.is_dir()]


def _unfinished(folder: Path) -> Iterator[Path]:
    oldest = time.time() - SILENCE_LIMIT_S
    for path in sorted(folder.rglob(".*")):
        if is_unfinished(path) and _last_written(path) < oldest:
            yield path


def _last_written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it was renamed just now, or nobody may look
        return math.inf
