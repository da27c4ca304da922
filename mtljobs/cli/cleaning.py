"""The command `mtljobs clean`: what takes room, and removing what is named of it."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mtljobs.cli.console import in_bytes, make_console, make_table, print_json
from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption
from mtljobs.errors import UserError, nearest

if TYPE_CHECKING:
    from mtljobs.cluster.cleaning import Room

console = make_console()


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
    from mtljobs.cluster import cleaning
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace

    kinds = list(dict.fromkeys(remove or []))
    for kind in kinds:
        if kind not in cleaning.KINDS:
            raise UserError(f"nothing is called {kind!r}{nearest(kind, cleaning.KINDS)}.")
    found = find_run(run, open_workspace(workspace))
    rooms = [cleaning.measure(found, kind) for kind in kinds or cleaning.KEPT | cleaning.KINDS]
    if kinds:
        rooms = [
            cleaning.remove(found, room.kind)
            for room in rooms
            if room.files and (yes or _agrees(room))
        ]
    if as_json:
        print_json([dataclasses.asdict(room) for room in rooms])
    else:
        _show(rooms, title="removed" if kinds else "kind")


def _agrees(room: Room) -> bool:
    """Whether the user says yes."""
    from mtljobs.cluster.cleaning import KINDS

    if not sys.stdin.isatty():
        raise UserError("nobody is there to be asked, and nothing was removed: add --yes.")
    what, loss = KINDS[room.kind]
    amount = f"{room.files:,} files, {in_bytes(room.size)}"
    return typer.confirm(f"Remove {room.kind}, {amount}: {what} ({loss})?")


def _show(rooms: list[Room], *, title: str) -> None:
    from mtljobs.cluster.cleaning import KEPT, KINDS

    table = make_table(title, "files", "size", "what it is", "if removed")
    for room in rooms:
        what, loss = (KINDS | KEPT)[room.kind]
        table.add_row(room.kind, f"{room.files:,}", in_bytes(room.size), what, loss)
    console.print(table)
