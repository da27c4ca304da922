"""Where the command line prints, and the shapes that it prints in; loads nothing else of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Column, Table


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: names and paths are no markup.

    On a terminal lines are broken between words, elsewhere not at all: a log is searched.
    """
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def print_json(values: Any) -> None:
    """One JSON value on standard output."""
    print(json.dumps(values, indent=1))


def make_table(*columns: str) -> Table:
    """A table without lines that breaks long names where it must, and never shortens them."""
    return Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar for work in the foreground; nothing where no terminal could redraw it."""
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=what
        )


def duration(seconds: float) -> str:
    """A time to two digits or so, as in "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def in_bytes(count: int) -> str:
    """Bytes in decimal units, as quotas count them.

    Example:
        >>> in_bytes(12), in_bytes(25_300_000), in_bytes(4_100_000_000_000)
        ('12 B', '25.3 MB', '4.1 TB')
    """
    units = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    unit, size = next((pair for pair in units if count >= pair[1]), ("B", 1))
    return f"{count / size:.3g} {unit}"
