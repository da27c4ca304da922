"""The commands `mtljobs init` and `mtljobs doctor`: a cluster met for the first time."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mtljobs.cli.options import JsonOption, ProfileOption, WorkspaceOption
from mtljobs.cli.show import make_console, make_table, print_json
from mtljobs.cluster.doctor import examine
from mtljobs.cluster.finding import Finding, Verdict
from mtljobs.cluster.first_profile import make_first_files
from mtljobs.cluster.profiles import find_profile
from mtljobs.cluster.site import Site
from mtljobs.errors import UserError
from mtljobs.ledger.paths import Workspace, open_workspace
from mtljobs.settings.profile import Profile

PROBLEM = 1
STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "problem": "red"}

console = make_console()
errors = make_console(stderr=True)


def init(
    folder: Annotated[
        Path, typer.Argument(help="Of the project; files go to its jobs/.", metavar="[FOLDER]")
    ] = Path(),
) -> None:
    """Ask this cluster what it has, and write a first profile and a first grid to edit.

    Nothing is overwritten. Where no Slurm answers, the profile is a template with every key.
    """
    site = Site.read()
    first = make_first_files(site)
    paths = first.write(folder)
    if site is None:
        console.print("No Slurm answers here, so the profile is the bare template.")
    else:
        console.print(f"Found the cluster {site.name}:")
    for key, value in first.found.items():
        console.print(f"  {key} = {json.dumps(value)}")
    for path in paths:
        console.print(f"wrote {path}")
    console.print(
        "Fill in what only you know: image (or the Python modules that jobs need), scratch, and "
        f"account where you have several. Then: mtljobs doctor --profile {first.name}"
    )


def doctor(
    profile: ProfileOption = None,
    drill: Annotated[
        bool,
        typer.Option(
            "--drill",
            help="Then rehearse with three real jobs, about five minutes on an idle partition: "
            "notice, time limit, kill.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether shards would run on this cluster: tools, limits, notices, image, file system.

    Exit code 1 if something would keep them from running, or results from being safe. Ctrl-C takes
    the drill's jobs from the queue.
    """
    found = Profile() if profile is None else find_profile(profile)
    place = open_workspace(workspace)
    findings = list(examine(found, place.root))
    if drill:
        findings += _rehearse(found, place)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        print_findings(findings)
    raise typer.Exit(PROBLEM if any(entry.verdict == "problem" for entry in findings) else 0)


def _rehearse(profile: Profile, workspace: Workspace) -> list[Finding]:
    from mtljobs.cluster.drill import clear, rehearse  # noqa: PLC0415 (submitit takes its time)
    from mtljobs.cluster.drill_report import tell_drill  # noqa: PLC0415

    site = Site.read()
    if site is None:
        raise UserError("no Slurm answers here, so there is nothing to rehearse on.")
    scenes = rehearse(profile, workspace, site, tell=errors.print)
    findings = tell_drill(scenes, profile)
    if any(finding.verdict == "problem" for finding in findings):
        errors.print(f"what the jobs wrote stays in {scenes[0].folder.parent}")
    else:
        clear(scenes)
    return findings


def print_findings(findings: Sequence[Finding]) -> None:
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
