"""The command `mtljobs compare-engines`: our IROF beside Quantus's, on a user's own run."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from mtljobs.cli.console import make_console, make_table, print_json, progress_bar
from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption

UNEXPLAINED = 1

ROWS = (
    ("items", "items"),
    ("with two curves", "curves"),
    ("with the same status", "same_status"),
    ("curves apart by: median", "curve", "median"),
    ("  99 %", "curve", "99%"),
    ("  maximum", "curve", "max"),
    ("scores apart by: median", "score", "median"),
    ("  99 %", "score", "99%"),
    ("  maximum", "score", "max"),
    ("items above 1e-5", "above_1e-5"),
    ("items above 1e-4", "above_1e-4"),
    ("  max-pooling differs", "pooling_differs"),
    ("  in so many positions", "positions"),
    ("  the same in float64", "rounding"),
    ("unexplained", "unexplained"),
    ("seconds: irof", "seconds", "irof"),
    ("  irof_quantus", "seconds", "irof_quantus"),
)
"""Label of a table's row, and where its value stands in a task's."""

console = make_console()
errors = make_console(stderr=True)


def compare_engines(
    run: RunArgument = None,
    experiment: Annotated[str | None, typer.Option(help="Of the cell.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Of the cell, a fraction.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the cell.")] = None,
    images: Annotated[
        int, typer.Option(min=1, help="How many of the experiment's images; each takes minutes.")
    ] = 2,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute some of a run's curves with Quantus too, and say how far the two are apart.

    Takes one cell whose network is finished, by default the first, and its saliency settings; both
    sides compute IROF exactly, on the superpixels that Quantus makes, ties by label. Where an item
    is apart by more than 1e-5, the step where it is most is looked into: do positions of
    max-pooling differ, which rounding decides where areas of one grey tie; or does float64 bring
    both together? Exit code 1 if neither.
    """
    from mtljobs.cluster.networks import find_finished
    from mtljobs.cluster.runs import find_run, run_workspace
    from mtljobs.cluster.submission import require_compute
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.settings.base import load
    from mtljobs.worker import thread_environment

    found = find_run(run, open_workspace(workspace))
    plan, cell = find_finished(found, experiment=experiment, sparsity=sparsity, seed=seed)
    require_compute()
    shard = next(s for s in plan.shards if s.name in cell.shards and s.stage == "explain")
    os.environ.update(thread_environment(shard))  # before torch is loaded
    with progress_bar(errors) as shown:
        tasks = load("mtljobs.stages.compare:compare_engines")(
            plan,
            shard,
            run=found,
            workspace=run_workspace(found),
            images=images,
            progress=shown,
        )
    if as_json:
        place = {"experiment": cell.experiment, "sparsity": cell.sparsity, "seed": cell.seed}
        print_json({"run": found.name, **place, "tasks": tasks})
    else:
        console.print(f"{cell.experiment}, sparsity {cell.sparsity:g}, seed {cell.seed}")
        _print_tasks(tasks)
    raise typer.Exit(UNEXPLAINED if any(own["unexplained"] for own in tasks.values()) else 0)


def _print_tasks(tasks: dict[str, Any]) -> None:
    """A column per task."""
    table = make_table("", *tasks)
    for label, *keys in ROWS:
        table.add_row(label, *(_value(own, keys) for own in tasks.values()))
    console.print(table)


def _value(own: Any, keys: list[str]) -> str:
    for key in keys:
        own = None if own is None else own[key]
    if isinstance(own, float):
        return f"{own:.1f}" if keys[0] == "seconds" else f"{own:.1e}"
    return "" if own is None else str(own)
