"""The command `mtljobs clean`: what takes room, and removing what is named of it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption
from mtljobs.errors import UserError, nearest

console = make_console()
errors = make_console(stderr=True)


def clean(
    run: RunArgument = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="A kind of files, as shown; may be repeated.", metavar="KIND"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what takes room in a run and in what runs share; remove what is named of it.

    Only what nobody uses is counted and removed; results never are. Asks before it removes, and
    without a terminal wants --yes.
    """
    from mtljobs.cli.show_cleaning import agrees, print_rooms
    from mtljobs.cluster import cleaning
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace

    kinds = list(dict.fromkeys(remove or []))
    for kind in kinds:
        if kind not in cleaning.KINDS:
            raise UserError(f"nothing is called {kind!r}{nearest(kind, cleaning.KINDS)}.")
    found = find_run(run, open_workspace(workspace))
    if kinds:
        asked = (cleaning.measure(found, kind) for kind in kinds)
        rooms = [
            cleaning.remove(found, room.kind)
            for room in asked
            if room.files and (yes or agrees(room))
        ]
    else:
        rooms = list(cleaning.measure_all(found, tell=errors.print))
    if as_json:
        print_json([dataclasses.asdict(room) for room in rooms])
    else:
        print_rooms(console, rooms, title="removed" if kinds else "kind")
