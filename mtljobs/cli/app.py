"""The commands of `mtljobs`.

Exit codes: 0 complete, 1 failed shards, 2 usage, 3 incomplete. Each command imports what it calls
when it is called: all of it together takes two seconds, and `--help` needs none of it.
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Annotated

import typer

from mtljobs import __version__
from mtljobs.cli.cleaning import clean
from mtljobs.cli.comparing import compare_engines
from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.data import data_app
from mtljobs.cli.doctoring import doctor, init
from mtljobs.cli.exporting import export
from mtljobs.cli.image import image_app
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
from mtljobs.cli.verifying import verify
from mtljobs.errors import MtljobsError, counted, full_disk_advice, misplaced_advice

INCOMPLETE = 3

app = typer.Typer(
    name="mtljobs",
    help=(
        "Train, prune and explain multi-task vision networks as preemption-safe batch jobs.\n\n"
        "A grid file says what to compute: cells, each a network of one experiment, sparsity and "
        "seed, with its explanations. A run collects cells and grows; shards are the pieces that "
        "it is worked on in. Begin with `mtljobs submit --grid demo`."
    ),
    epilog="Exit codes: 0 complete, 1 failed shards, 2 usage, 3 incomplete.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(image_app, name="image")
console = make_console()
errors = make_console(stderr=True)


def main() -> None:
    """Run the command line; an error that was raised on purpose is one paragraph."""
    # A large plan lives as long as the process: looking through it for garbage, while it grows and
    # when the interpreter ends, takes an eighth of `status`.
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)
    try:
        app()
    except MtljobsError as error:
        errors.print("\n".join([str(error), *getattr(error, "__notes__", [])]), style="red")
        sys.exit(error.exit_code)
    except OSError as error:
        advice = full_disk_advice(error) or misplaced_advice(error)
        if advice is None:
            raise
        errors.print(advice, style="red")
        sys.exit(MtljobsError.exit_code)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command("list")
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


@app.command()
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


@app.command()
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


@app.command("shard")
def run_one(
    run: Annotated[str, typer.Argument(help="Name or path of a run.", metavar="RUN")],
    shard: Annotated[str, typer.Argument(help="Name, or the beginning of a name.", metavar="ID")],
    workspace: WorkspaceOption = None,
) -> None:
    """Run one shard here, in this process, for a debugger."""
    from mtljobs.cli.console import progress_bar
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


@app.command()
def reduce(
    run: RunArgument = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Average what there is, and count what is not.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Move what is finished into the store and write the tables."""
    from mtljobs.cli.show import store_size
    from mtljobs.cluster.runs import find_run, run_workspace
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.results import markdown
    from mtljobs.stages.reduce import reduce_run

    found = find_run(run, open_workspace(workspace))
    reduce_run(found, run_workspace(found), allow_partial=allow_partial)
    console.print(markdown(found))
    console.print(f"store: {store_size(found)}")


@app.command()
def report(run: RunArgument = None, workspace: WorkspaceOption = None) -> None:
    """Write the page of figures and tables of a run."""
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.report import write_report

    console.print(str(write_report(find_run(run, open_workspace(workspace)))))


app.command()(verify)
app.command()(compare_engines)
app.command()(export)
app.command()(clean)
app.command()(init)
app.command()(doctor)
