"""What takes room, for people, and whether they want it to go."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.console import Console

from mtljobs.cli.console import in_bytes, make_table
from mtljobs.cluster.cleaning import KEPT, KINDS, Room
from mtljobs.errors import UserError, counted


def agrees(room: Room) -> bool:
    """Whether the user, asked at the terminal, wants these files to go.

    Raises:
        UserError: Nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise UserError("nobody is there to be asked, and nothing was removed: add --yes.")
    what, loss = KINDS[room.kind]
    amount = f"{counted(room.files, 'file')}, {in_bytes(room.size)}"
    return typer.confirm(f"Remove {room.kind}, {amount}: {what} ({loss})?")


def print_rooms(console: Console, rooms: Sequence[Room], *, title: str) -> None:
    """A line per kind of files."""
    if not rooms:
        console.print("nothing was removed")
        return
    table = make_table(title, "files", "size", "what it is", "if removed")
    for room in rooms:
        what, loss = (KINDS | KEPT)[room.kind]
        table.add_row(room.kind, f"{room.files:,}", in_bytes(room.size), what, loss)
    console.print(table)
