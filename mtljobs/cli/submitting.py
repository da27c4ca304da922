"""The commands that have runs worked on: `plan`, `submit`, `resume`, `cancel`, `shard`."""

from __future__ import annotations

from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.options import (
    DetachOption,
    ExecutorOption,
    GridOption,
    JsonOption,
    NewRunOption,
    OnlyOption,
    ProfileOption,
    RunArgument,
    SlotsOption,
    WorkspaceOption,
)
from mtljobs.errors import counted

console = make_console()


def plan(
    grid: GridOption,
    run: NewRunOption = None,
    only: OnlyOption = None,
    profile: ProfileOption = None,
    scripts: Annotated[
        bool, typer.Option("--scripts", help="Print the batch scripts that Slurm would get.")
    ] = False,
    start_times: Annotated[
        bool,
        typer.Option(
            "--start-times", help="Ask Slurm when each array could start; this uses up job ids."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what submitting a grid would compute; writes nothing.

    Also what it takes: hours, as far as earlier shards tell, disk and files; and where there is a
    Slurm, or for the cluster of a profile, which arrays it would be given.
    """
    from mtljobs.cli.only import parse_only
    from mtljobs.cli.show_outlay import outlay_values, print_outlay
    from mtljobs.cli.show_plan import plan_values, print_plan
    from mtljobs.cluster.outlay import read_outlay
    from mtljobs.cluster.proposal import propose
    from mtljobs.ledger.paths import open_workspace

    proposal = propose(
        grid, workspace=open_workspace(workspace), run_name=run, wanted=parse_only(only)
    )
    outlay = read_outlay(proposal, profile)
    slurm = None if outlay is None else outlay.slurm
    starts = slurm.ask_starts() if start_times and slurm is not None else None
    if as_json:
        print_json(plan_values(proposal) | outlay_values(outlay, starts, with_scripts=scripts))
        return
    print_plan(console, proposal)
    print_outlay(console, outlay, starts, with_scripts=scripts)


def submit(
    grid: GridOption,
    run: NewRunOption = None,
    only: OnlyOption = None,
    executor: ExecutorOption = "auto",
    detach: DetachOption = False,
    cpus: SlotsOption = None,
    profile: ProfileOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Compute what a grid asks for and the run does not have yet; submitting twice is harmless.

    On this machine, Ctrl-C stops the shards after a checkpoint, and `mtljobs resume` goes on. On
    Slurm the command returns at once: 0 means queued, and `mtljobs wait` says how it ended.
    """
    from mtljobs.cli.only import parse_only
    from mtljobs.cli.working import queue, work_on
    from mtljobs.cluster.profiles import choose_profile, rights
    from mtljobs.cluster.proposal import propose
    from mtljobs.cluster.submission import choose_executor, freeze
    from mtljobs.ledger.paths import open_workspace

    proposal = propose(
        grid, workspace=open_workspace(workspace), run_name=run, wanted=parse_only(only)
    )
    chosen = choose_executor(executor)
    cluster = choose_profile(proposal.run, profile)
    with rights(cluster):
        freeze(proposal)
    if chosen == "slurm":
        queue(console, proposal.run, cluster, retry_failed=False)
    else:
        work_on(console, proposal.run, detach=detach, cpus=cpus, retry_failed=False)


def resume(
    run: RunArgument = None,
    executor: ExecutorOption = "auto",
    detach: DetachOption = False,
    cpus: SlotsOption = None,
    profile: ProfileOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Go on with a run that was stopped; failed and killed shards are tried again."""
    from mtljobs.cli.working import queue, work_on
    from mtljobs.cluster.profiles import choose_profile
    from mtljobs.cluster.runs import find_run
    from mtljobs.cluster.submission import choose_executor
    from mtljobs.ledger.paths import open_workspace

    found = find_run(run, open_workspace(workspace))
    if choose_executor(executor) == "slurm":
        queue(console, found, choose_profile(found, profile), retry_failed=True)
    else:
        work_on(console, found, detach=detach, cpus=cpus, retry_failed=True)


def cancel(run: RunArgument = None, workspace: WorkspaceOption = None) -> None:
    """Stop a run, here and on Slurm: its shards write a checkpoint and end; `resume` goes on."""
    from mtljobs.cluster.local import cancel_run
    from mtljobs.cluster.queue import cancel_jobs
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace

    found = find_run(run, open_workspace(workspace))
    jobs = cancel_jobs(found)
    if jobs:
        console.print(f"took from Slurm's queue: {', '.join(jobs)}")
    asked = cancel_run(found)
    processes = counted(asked, "process", "processes")
    console.print(f"asked {processes} of the run {found.name} to stop after a checkpoint")


def run_one(
    run: Annotated[str, typer.Argument(help="Name or path of a run.", metavar="RUN")],
    shard: Annotated[str, typer.Argument(help="Name, or the beginning of a name.", metavar="ID")],
    workspace: WorkspaceOption = None,
) -> None:
    """Run one shard here, in this process, for a debugger."""
    from mtljobs.cli.console import progress_bar
    from mtljobs.cli.following import INCOMPLETE
    from mtljobs.cluster.runs import find_run
    from mtljobs.cluster.states import find_shard, read_states
    from mtljobs.cluster.submission import require_compute
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.worker import execute

    state = read_states(find_run(run, open_workspace(workspace)))
    require_compute()
    name = find_shard(state, shard)
    index = [other.name for other in state.plan.shards].index(name)
    with progress_bar(console) as shown:
        outcome = execute(state.plan_path, index, shown=shown)
    console.print(f"{name}: {'done before' if outcome == 'duplicate' else outcome}")
    raise typer.Exit(0 if outcome in {"done", "duplicate"} else INCOMPLETE)
