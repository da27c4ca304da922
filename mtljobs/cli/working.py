"""How commands have a run worked on: here, or by Slurm."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from mtljobs.cli.following import exit_code, print_state, watching
from mtljobs.cli.show import print_results
from mtljobs.cluster.local import LocalDriver, start_detached
from mtljobs.cluster.profiles import remember_profile, rights
from mtljobs.cluster.states import count_slots, read_states
from mtljobs.cluster.sweep import submit_run
from mtljobs.ledger.paths import RunFolder
from mtljobs.settings.profile import Profile


def queue(console: Console, run: RunFolder, profile: Profile, *, retry_failed: bool) -> None:
    """Hand a run to Slurm, which follows this profile from now on."""
    with rights(profile):
        remember_profile(run, profile)
    submission = submit_run(run, retry_failed=retry_failed)
    console.print(f"{run.name}: {submission.words}")
    if submission.jobs or submission.sweep:
        console.print("follow it with `mtljobs status` or `mtljobs wait`")


def work_on(
    console: Console, run: RunFolder, *, detach: bool, cpus: int | None, retry_failed: bool
) -> None:
    """Drive a run on this machine to its end, and print what came out."""
    if detach:
        arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
        log = start_detached(run, arguments)
        console.print(f"working on {run.name} in the background; it writes to {log}")
        return
    slots = count_slots(read_states(run).plan, cpus)
    with watching(console, slots) as watch:
        state = LocalDriver(run, slots=slots, retry_failed=retry_failed, watch=watch).drive()
    if state.is_complete:
        from mtljobs.report import write_report

        print_results(console, run, write_report(run))
    else:
        print_state(console, state, slots)
    raise typer.Exit(exit_code(state))
