"""The command `mtljobs compare-engines`: our IROF beside Quantus's, on a user's own run."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console

from mtljobs.cli.options import JsonOption, RunArgument, WorkspaceOption
from mtljobs.cli.show import make_console, make_table, print_json, progress_bar
from mtljobs.cluster.networks import find_finished
from mtljobs.cluster.runs import find_run, run_workspace
from mtljobs.cluster.submission import require_compute
from mtljobs.ledger.paths import open_workspace
from mtljobs.settings.base import load
from mtljobs.worker import thread_environment

UNEXPLAINED = 1

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

    Takes one cell whose network is finished, by default the first. Where an item deviates by more
    than 1e-5, the positions of max-pooling are compared: where areas of one grey tie, rounding
    decides them. Exit code 1 if that does not explain a deviation.
    """
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
        _print_tasks(console, tasks)
    raise typer.Exit(UNEXPLAINED if any(own["unexplained"] for own in tasks.values()) else 0)


def _print_tasks(console: Console, tasks: dict[str, Any]) -> None:
    """A line per task; deviations as median / 99 % / maximum."""
    table = make_table(
        "task", "items", "same status", "curves: median / 99 % / max", "scores: the same",
        "> 1e-5", "> 1e-4", "pooling differs", "unexplained", "ours s", "Quantus s",
    )  # fmt: skip
    for name, own in tasks.items():
        table.add_row(
            name,
            str(own["items"]),
            str(own["same_status"]),
            _deviations(own["curve"]),
            _deviations(own["score"]),
            str(own["above_1e-5"]),
            str(own["above_1e-4"]),
            str(own["pooling_differs"]),
            str(own["unexplained"]),
            f"{own['seconds']['irof']:.1f}",
            f"{own['seconds']['irof_quantus']:.1f}",
        )
    console.print(table)


def _deviations(values: dict[str, float] | None) -> str:
    return "" if values is None else " / ".join(f"{value:.0e}" for value in values.values())
