"""The command `mtljobs verify`: are the results those that were computed?"""

from __future__ import annotations

import secrets
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
        bool, typer.Option("--quick", help="Names, lengths, metadata and status alone.")
    ] = False,
    decode: Annotated[
        bool,
        typer.Option(
            "--decode", help="Also every number, and whether the store gives the same tables."
        ),
    ] = False,
    recompute: Annotated[
        int,
        typer.Option(
            min=0, help="Also explain so many random blocks of images again.", metavar="K"
        ),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="Of the choice of blocks; default: another each time.")
    ] = None,
    requeue: Annotated[
        bool,
        typer.Option(
            "--requeue",
            help="Move what is damaged into the run's quarantine; `resume` computes it again.",
        ),
    ] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="With --requeue: also shards with missing items, once their input is back.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether a run's results are those that were computed; reads every byte of them.

    Finds every bit that changed, every file that is missing or foreign, and never stops at the
    first. Exit code 1 if anything is damaged, also where --requeue made room; notes, as on what
    dead processes left, do not count.
    """
    from mtljobs.cli.show_verification import outcome_values, print_outcome
    from mtljobs.cluster.runs import find_run
    from mtljobs.cluster.submission import require_compute
    from mtljobs.cluster.verification import verify_run
    from mtljobs.errors import UserError
    from mtljobs.ledger.paths import open_workspace

    if quick and decode:
        raise UserError("--quick reads names alone and --decode every number: give one of them.")
    if missing and not requeue:
        raise UserError(
            "--missing says what else --requeue makes room for, and is of no use without it: give "
            "both. Missing items are named in any case."
        )
    found = find_run(run, open_workspace(workspace))
    if recompute:
        require_compute()
    drawn = secrets.randbelow(2**31) if seed is None else seed
    with progress_bar(errors) as shown:
        outcome = verify_run(
            found,
            level="quick" if quick else "decode" if decode else "default",
            recomputed=recompute,
            seed=drawn,
            makes_room=requeue,
            with_missing=missing,
            progress=shown,
        )
    if as_json:
        print_json({"run": found.name, "seed": drawn} | outcome_values(outcome))
    else:
        if recompute:
            console.print(f"recomputed blocks are those of --seed {drawn}")
        print_outcome(console, found, outcome)
    raise typer.Exit(DAMAGED if outcome.verification.damage else 0)
