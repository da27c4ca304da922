"""What commands show while a run goes on, and how it stands in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

from mtljobs.cli.show import LogLines, render_state
from mtljobs.cluster.marker import was_submitted
from mtljobs.cluster.queue import RARELY_S, read_queue
from mtljobs.cluster.runs import is_driven
from mtljobs.cluster.states import RunState, Watcher, count_slots, read_states
from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder

FAILED, INCOMPLETE = 1, 3
LOOK_S = 0.5


@contextmanager
def watching(console: Console, slots: int) -> Iterator[Watcher]:
    """A live table on a terminal, plain lines in a log."""
    if not console.is_terminal:
        yield LogLines(console)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda state: live.update(render_state(state, slots), refresh=True)


def follow(
    console: Console, run: RunFolder, *, until: Callable[[RunState], bool], look_s: float
) -> RunState:
    """Show how a run goes on until something is the case, or Ctrl-C; return how it stands then."""
    state = read_states(run)
    slots = count_slots(state.plan, None)
    with watching(console, slots) as watch, suppress(KeyboardInterrupt):
        while not until(state):
            watch(state)
            time.sleep(look_s)
            state = read_states(run)
        watch(state)
    print_state(console, state, slots)
    return state


def wait_for(console: Console, run: RunFolder, *, timeout_s: float | None) -> RunState:
    """Follow a run until nothing works on it any more, or the time is over."""
    deadline = time.monotonic() + (timeout_s if timeout_s is not None else float("inf"))
    is_queued = _is_queued(run)

    def is_over(now: RunState) -> bool:
        if time.monotonic() > deadline:
            return True
        if is_queued:
            return not _is_queued(run)
        return now.is_complete or not (now.running or is_driven(run))

    return follow(console, run, until=is_over, look_s=RARELY_S if is_queued else LOOK_S)


def _is_queued(run: RunFolder) -> bool:
    return bool(read_queue(run, max_age_s=RARELY_S).jobs)


def print_state(console: Console, state: RunState, slots: int) -> None:
    """Print how a run stands, and whether somebody works on it."""
    console.print(render_state(state, slots))
    if state.is_complete or is_driven(state.run):
        return
    if not was_submitted(state.run):
        if not state.running:
            console.print("nothing works on it; `mtljobs resume` goes on")
        return
    from mtljobs.cluster.outlook import outlook

    try:
        for line in outlook(state):
            console.print(line)
    except UserError as error:
        console.print(str(error))


def exit_code(state: RunState) -> int:
    """Of a command that was asked how a run stands."""
    if state.is_complete:
        return 0
    return FAILED if state.failed else INCOMPLETE
