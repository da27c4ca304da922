"""Options and arguments that several commands share, and what they parse into."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mtljobs.errors import UserError, nearest
from mtljobs.plan.frozen import CellFilter

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


def parse_only(values: list[str] | None) -> CellFilter:
    """The filter that `--only` describes: any of the values of a key, all of the keys.

    Raises:
        UserError: A key or number that cannot be meant; names the valid keys.

    Example:
        >>> wanted = parse_only(["sparsity=0.5,sparsity=0", "seed=1"])
        >>> wanted("any", 0.5, 1), wanted("any", 0.75, 1), wanted("any", 0.0, 0)
        (True, False, False)
    """
    wanted: dict[str, set[str | float]] = {}
    for part in ",".join(values or []).split(","):
        if not part.strip():
            continue
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or key not in {"experiment", "sparsity", "seed"}:
            raise UserError(
                f"--only takes experiment=…, sparsity=…, seed=…, received {part!r}"
                f"{nearest(key, ('experiment', 'sparsity', 'seed'))}."
            )
        wanted.setdefault(key, set()).add(value if key == "experiment" else _number(part, value))

    def matches(experiment: str, sparsity: float, seed: int) -> bool:
        cell = {"experiment": experiment, "sparsity": sparsity, "seed": seed}
        return all(cell[key] in valid for key, valid in wanted.items())

    return matches


def _number(part: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise UserError(f"--only: {part!r} needs a number, received {value!r}.") from error
