"""What `mtljobs doctor` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mtljobs.cli.console import make_table
from mtljobs.cluster.finding import Finding, Verdict

STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "problem": "red"}


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A row for each thing that was looked at, what to do below it, and how many are amiss."""
    table = make_table("", "", "")
    table.show_header = False
    for finding in findings:
        advice = f"\n-> {finding.advice}" if finding.advice else ""
        verdict = Text(finding.verdict, style=STYLES[finding.verdict])
        table.add_row(verdict, finding.subject, f"{finding.found}{advice}")
    console.print(table)
    counts = Counter(finding.verdict for finding in findings)
    console.print(
        ", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES if counts[verdict])
    )
