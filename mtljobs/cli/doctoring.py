"""The commands `mtljobs init` and `mtljobs doctor`: a cluster met for the first time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.options import JsonOption, ProfileOption, WorkspaceOption

PROBLEM = 1

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
    from mtljobs.cluster.first_profile import make_first_files
    from mtljobs.cluster.site import Site

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
    from mtljobs.cli.show_findings import print_findings
    from mtljobs.cluster.doctor import examine
    from mtljobs.cluster.profiles import find_profile
    from mtljobs.ledger.paths import open_workspace

    found = find_profile(profile)
    place = open_workspace(workspace)
    findings = list(examine(found, place.root))
    if not as_json:
        print_findings(console, findings)
    if drill:
        from mtljobs.cluster.drill_report import hold_drill

        rehearsed = hold_drill(found, place, tell=errors.print)
        findings += rehearsed
        if not as_json:
            print_findings(console, rehearsed)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    raise typer.Exit(PROBLEM if any(entry.verdict == "problem" for entry in findings) else 0)
