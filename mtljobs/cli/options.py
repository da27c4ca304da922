"""Options and arguments that several commands share; loads nothing of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

GridOption = Annotated[
    str,
    typer.Option(
        "--grid", "-g", help="Name of a shipped grid, or path of a grid file.", metavar="GRID"
    ),
]
NewRunOption = Annotated[
    str | None,
    typer.Option("--run", help="Name of the run; default: the grid file's name.", metavar="NAME"),
]
RunArgument = Annotated[
    str | None,
    typer.Argument(help="Name or path of a run; default: the one submitted last.", metavar="RUN"),
]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w",
        help="Folder of all runs; default: $MTLJOBS_WORKSPACE, or ./runs.",
    ),
]  # fmt: skip
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        help="Some cells alone, as in sparsity=0.5,seed=0,seed=1; the third key is experiment.",
        metavar="KEY=VALUE,...",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        help="Of the cluster: a name in jobs/profiles/, a shipped one, or a path.",
        metavar="PROFILE",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value, for programs, and nothing else.")
]
ExecutorOption = Annotated[
    Literal["auto", "local", "slurm"],
    typer.Option(help="Where shards run; auto: Slurm where sbatch exists, this machine elsewhere."),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="On this machine: work in the background, return at once.")
]
SlotsOption = Annotated[
    int | None,
    typer.Option(
        "--cpus", min=1, help="Cores of this machine to use; default: all that this process may."
    ),
]
