"""What `mtljobs verify` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from mtljobs.cluster.verification import Outcome
from mtljobs.errors import counted
from mtljobs.ledger.paths import RunFolder
from mtljobs.results.verification import Verification
from mtljobs.store.findings import Finding


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """What was looked at, found and moved, as JSON values."""
    found = outcome.verification
    return {
        "level": found.level,
        "checked": asdict(found.checked),
        "findings": [_values(finding) for finding in found.damage],
        "notes": [_values(finding) for finding in found.notes],
        "moved": {what: str(place) for what, place in outcome.moved.items()},
    }


def _values(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"path": str(finding.path)}


def print_outcome(console: Console, run: RunFolder, outcome: Outcome) -> None:
    """A paragraph for each finding, notes last, how much was looked at, and what to do."""
    found = outcome.verification
    for finding in found.damage:
        _print(console, finding, style="red")
    for note in found.notes:
        _print(console, note, style="yellow")
    console.print(f"{run.name}: {_describe(found)}")
    for what, place in outcome.moved.items():
        console.print(f"moved {what} to {place}")
    console.print(_conclude(run, outcome))


def _print(console: Console, finding: Finding, *, style: str) -> None:
    of = f" of {finding.shard}" if finding.shard else ""
    console.print(f"{finding.kind}{of}: {finding.path}", style=style)
    console.print(f"  {finding.detail}")


def _describe(found: Verification) -> str:
    checked = found.checked
    parts = [f"{counted(checked.shards, 'shard')} with {counted(checked.files, 'file')}"]
    if checked.bytes:
        parts.append(f"{checked.bytes / 1e9:.3g} GB read")
    if checked.chunks:
        parts.append(f"{counted(checked.chunks, 'chunk')} decoded")
    if checked.not_done:
        parts.append(f"{counted(checked.not_done, 'shard')} not done yet")
    if checked.missing_items:
        parts.append(f"{counted(checked.missing_items, 'item')} missing")
    return ", ".join(parts)


def _conclude(run: RunFolder, outcome: Outcome) -> str:
    damage = outcome.verification.damage
    if not damage and not outcome.moved:
        return "nothing is damaged"
    count = counted(len(damage), "finding") if damage else "nothing is damaged"
    if any(finding.kind == "wrong plan" for finding in damage):
        return f"{count}; a plan is not computed: mend it as said above, and look again"
    mending = f"`mtljobs resume {run.name}` and then `mtljobs reduce {run.name}`"
    if outcome.moved:
        return f"{count}; {mending} make what was moved anew"
    return f"{count}; after `mtljobs verify {run.name} --requeue`, {mending} mend what was found"
