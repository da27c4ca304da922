"""The commands that make tables and figures of a run: `reduce`, `report`."""

from __future__ import annotations

from typing import Annotated

import typer

from mtljobs.cli.console import make_console
from mtljobs.cli.options import RunArgument, WorkspaceOption

console = make_console()


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


def report(run: RunArgument = None, workspace: WorkspaceOption = None) -> None:
    """Write the page of figures and tables of a run."""
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.report import write_report

    console.print(str(write_report(find_run(run, open_workspace(workspace)))))
