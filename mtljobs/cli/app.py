"""The commands of `mtljobs`.

Exit codes: 0 complete, 1 failed shards, 2 usage, 3 incomplete. Each command imports what it calls
when it is called: all of it together takes two seconds, and `--help` needs none of it.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mtljobs import __version__
from mtljobs.cli.cleaning import clean
from mtljobs.cli.comparing import compare_engines
from mtljobs.cli.console import make_console
from mtljobs.cli.data import data_app
from mtljobs.cli.doctoring import doctor, init
from mtljobs.cli.exporting import export
from mtljobs.cli.image import image_app
from mtljobs.cli.looking import logs, show_runs, status, wait
from mtljobs.cli.reducing import reduce, report
from mtljobs.cli.submitting import cancel, plan, resume, run_one, submit
from mtljobs.cli.verifying import verify
from mtljobs.errors import MtljobsError, full_disk_advice, misplaced_advice

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


app.command()(plan)
app.command()(submit)
app.command()(resume)
app.command()(status)
app.command()(wait)
app.command("list")(show_runs)
app.command()(cancel)
app.command()(logs)
app.command("shard")(run_one)
app.command()(reduce)
app.command()(report)
app.command()(verify)
app.command()(compare_engines)
app.command()(export)
app.command()(clean)
app.command()(init)
app.command()(doctor)
