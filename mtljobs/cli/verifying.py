"""The command `mtljobs verify`: are the results those that were computed?"""

from __future__ import annotations

from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json, progress_bar
from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption

DAMAGED = 1

console = make_console()
errors = make_console(stderr=True)


def verify(
    run: RunArgument = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Names, lengths and metadata alone; reads no results.")
    ] = False,
    decode: Annotated[
        bool,
        typer.Option(
            "--decode", help="Also every number, and whether the store gives the same tables."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether a run's results are those that were computed; reads every byte, changes none.

    Finds every bit that changed, every file that is missing or foreign, and never stops at the
    first. Exit code 1 if anything is damaged; notes, as on what dead processes left, do not count.
    """
    from mtljobs.cli.show_verification import print_verification, verification_values
    from mtljobs.cluster.runs import find_run, run_workspace
    from mtljobs.cluster.states import read_states
    from mtljobs.errors import UserError
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.results.verification import verify as check

    if quick and decode:
        raise UserError("--quick reads names alone and --decode every number: give one of them.")
    found = find_run(run, open_workspace(workspace))
    plan = read_states(found).plan
    with progress_bar(errors) as shown:
        verification = check(
            found,
            run_workspace(found),
            plan,
            level="quick" if quick else "decode" if decode else "default",
            progress=shown,
        )
    if as_json:
        print_json({"run": found.name} | verification_values(verification))
    else:
        print_verification(console, found, verification)
    raise typer.Exit(DAMAGED if verification.damage else 0)
