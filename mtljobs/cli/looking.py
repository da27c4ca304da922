"""The commands that look at runs: `status`, `wait`, `list`, `logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption
from mtljobs.errors import MtljobsError

console = make_console()
errors = make_console(stderr=True)


def status(
    run: RunArgument = None,
    once: Annotated[bool, typer.Option("--once", help="Print once, also on a terminal.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a run is: a bar per stage, what runs, what failed and why.

    On a terminal the table stays and follows the run while something runs; Ctrl-C leaves it.
    """
    from mtljobs.cli.following import LOOK_S, exit_code, follow, print_state
    from mtljobs.cli.show import state_values
    from mtljobs.cluster.runs import find_run
    from mtljobs.cluster.states import count_slots, read_states
    from mtljobs.ledger.paths import open_workspace

    found = find_run(run, open_workspace(workspace))
    state = read_states(found)
    if as_json:
        print_json(state_values(state, count_slots(state.plan, None)))
    elif console.is_terminal and state.running and not once:
        state = follow(console, found, until=lambda now: not now.running, look_s=LOOK_S)
    else:
        print_state(console, state, count_slots(state.plan, None))
    raise typer.Exit(exit_code(state))


def wait(
    run: RunArgument = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", help="Seconds after which to give up waiting.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Wait until a run is complete, or nothing works on it any more."""
    from mtljobs.cli.following import exit_code, wait_for
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace

    found = find_run(run, open_workspace(workspace))
    raise typer.Exit(exit_code(wait_for(console, found, timeout_s=timeout_s)))


def show_runs(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the runs of the workspace."""
    from mtljobs.cli.show import print_runs, run_values
    from mtljobs.cluster.runs import list_runs
    from mtljobs.cluster.states import read_states
    from mtljobs.ledger.paths import open_workspace

    place = open_workspace(workspace)
    states = []
    for run in list_runs(place):
        try:
            states.append(read_states(run))
        except MtljobsError as error:  # one broken run hides no other
            errors.print(f"{run.name}: {error}")
    if as_json:
        print_json([run_values(state) for state in states])
    else:
        print_runs(console, place.root, states)


def logs(
    shard: Annotated[
        str | None,
        typer.Argument(
            help="Name, or the beginning of a name; default: the one worked on last.",
            metavar="SHARD",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Name or path of a run; default: the one submitted last.", metavar="RUN"),
    ] = None,
    attempt: Annotated[int | None, typer.Option(help="Number; default: the last one.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Print what a shard's attempt wrote to its log."""
    from mtljobs.cluster.logs import find_log
    from mtljobs.cluster.runs import find_run
    from mtljobs.cluster.states import read_states
    from mtljobs.ledger.paths import open_workspace

    state = read_states(find_run(run, open_workspace(workspace)))
    found = find_log(state, shard, attempt)
    print(found.read_text(encoding="utf-8"), end="")
