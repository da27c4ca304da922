"""Folders of results that cannot be read, and what can be said of all others nonetheless."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mtljobs.ledger.paths import RunFolder, Workspace, result_folder
from mtljobs.plan.frozen import Plan
from mtljobs.store.findings import Finding, Kind


def find_unreadable(run: RunFolder, workspace: Workspace, plan: Plan) -> Iterator[Finding]:
    """Folders, of the run and of what it shares, of whose files nothing can be known."""
    shared = {str(result_folder(workspace, run, shard)) for shard in plan.shards if shard.shared}
    for top in (run.store, run.ledger, run.committed, workspace.networks, workspace.inputs):
        kind: Kind = "unreadable chunk" if top == run.store else "broken record"
        only = shared if top.is_relative_to(workspace.shared) else None
        for error in _walk(top, only=only):
            yield unreadable(kind, error)


def unreadable(kind: Kind, error: OSError) -> Finding:
    """That a folder, or a file, cannot be read."""
    detail = (
        f"expected what can be read, found the error {error.strerror!r}: what is in it was not "
        "checked; verify again once you may read it, and enter it"
    )
    return Finding(kind, Path(error.filename), None, detail)


def leave_unknown(
    findings: Iterable[Finding], closed: Sequence[Path], run: RunFolder
) -> Iterator[Finding]:
    """Findings, but for those about what nothing can be known of.

    That is what lies in folders that cannot be read, and whether a record that lies there lists a
    file of the store.
    """
    lacks_records = any(
        folder.is_relative_to(place) for folder in closed for place in (run.ledger, run.committed)
    )
    for finding in findings:
        is_inside = any(finding.path.is_relative_to(folder) for folder in closed)
        if not is_inside and not (lacks_records and finding.kind == "unknown file"):
            yield finding


def _walk(top: Path, *, only: set[str] | None) -> list[OSError]:
    """Why folders cannot be read, in the place of what else they would hold.

    Args:
        only: Of those in `top`, where others are none of ours.
    """
    errors: list[OSError] = []
    for folder, below, _ in os.walk(top, onerror=errors.append):
        try:
            os.stat(f"{folder}/.")  # noqa: PTH116 (to list what is inside takes another right)
        except OSError as error:
            errors.append(error)
            below.clear()
        if only is not None and folder == str(top):
            below[:] = [name for name in below if f"{folder}/{name}" in only]
    absent = (FileNotFoundError, NotADirectoryError)
    return [error for error in errors if not isinstance(error, absent)]
