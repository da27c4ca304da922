"""A run's files held against its plan, its records and each other: what `mtljobs verify` calls."""

from __future__ import annotations

from dataclasses import dataclass

from mtljobs.contracts import Progress
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.frozen import Plan
from mtljobs.results.table_check import find_changed_tables, find_wrong_tables
from mtljobs.store.findings import Checked, Finding
from mtljobs.store.origins import find_mixed_devices
from mtljobs.store.verification import Level, check_store


@dataclass(frozen=True)
class Verification:
    """What a check of a run found.

    Attributes:
        checked: How much was looked at.
        findings: All of them, notes too.
    """

    level: Level
    checked: Checked
    findings: tuple[Finding, ...]

    @property
    def damage(self) -> tuple[Finding, ...]:
        """Findings that are more than notes."""
        return tuple(finding for finding in self.findings if not finding.is_note)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that are no damage."""
        return tuple(finding for finding in self.findings if finding.is_note)


def verify(
    run: RunFolder, workspace: Workspace, plan: Plan, *, level: Level, progress: Progress
) -> Verification:
    """Look for everything that is wrong with a run; never stops at the first.

    Args:
        plan: The run's newest.
        level: "quick": every planned shard's record, every listed file's presence and length,
            metadata and coordinates, files that nobody lists, items without a result; "default":
            also the SHA-256 of every file, tables too, and whether these are of these records;
            "decode": also every number, and whether the store gives the bytes of the tables.
    """
    checked = Checked()
    findings = list(
        check_store(run, workspace, plan, level=level, checked=checked, progress=progress)
    )
    findings += find_mixed_devices(run, workspace, plan)
    if level != "quick":
        findings += find_changed_tables(run)
    if level == "decode" and all(finding.is_note for finding in findings):
        findings += find_wrong_tables(run)
    return Verification(level, checked, tuple(findings))
