"""What `mtljobs verify` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from mtljobs.ledger.paths import RunFolder
from mtljobs.results.verification import Verification
from mtljobs.store.findings import Finding


def verification_values(found: Verification) -> dict[str, Any]:
    """What was looked at and found, as JSON values."""
    return {
        "level": found.level,
        "checked": asdict(found.checked),
        "findings": [_values(finding) for finding in found.damage],
        "notes": [_values(finding) for finding in found.notes],
    }


def _values(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"path": str(finding.path)}


def print_verification(console: Console, run: RunFolder, found: Verification) -> None:
    """A paragraph for each finding, notes last, and how much was looked at."""
    for finding in found.damage:
        _print(console, finding, style="red")
    for note in found.notes:
        _print(console, note, style="yellow")
    console.print(f"{run.name}: {_describe(found)}")
    console.print(_conclude(found.damage))


def _print(console: Console, finding: Finding, *, style: str) -> None:
    of = f" of {finding.shard}" if finding.shard else ""
    console.print(f"{finding.kind}{of}: {finding.path}", style=style)
    console.print(f"  {finding.detail}")


def _describe(found: Verification) -> str:
    checked = found.checked
    parts = [f"{checked.shards} shards with {checked.files} files"]
    if checked.bytes:
        parts.append(f"{checked.bytes / 1e9:.3g} GB read")
    if checked.chunks:
        parts.append(f"{checked.chunks} chunks decoded")
    if checked.not_done:
        parts.append(f"{checked.not_done} shards not done yet")
    if checked.missing_items:
        parts.append(f"{checked.missing_items} items missing")
    return ", ".join(parts)


def _conclude(damage: Sequence[Finding]) -> str:
    if not damage:
        return "nothing is damaged"
    return f"{len(damage)} findings: `mtljobs verify --requeue` makes room to compute them again"
