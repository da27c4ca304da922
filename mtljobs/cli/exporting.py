"""The command `mtljobs export`: a run as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mtljobs.cli.console import in_bytes, make_console
from mtljobs.cli.options import RunArgument, WorkspaceOption

console = make_console()


def export(
    run: RunArgument = None,
    form: Annotated[
        Literal["netcdf", "zarr-zip", "csv", "parquet"],
        typer.Option(
            "--format",
            help="netcdf: every array; zarr-zip: the same, of runs that keep their results in "
            "Zarr; csv or parquet: a row per item, with its area.",
        ),
    ] = "netcdf",
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only this experiment; may be repeated.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    sparsity: Annotated[
        list[float] | None,
        typer.Option(help="Only this sparsity, a fraction; may be repeated. Not for zarr-zip."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; default: the run's name here.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a run's results, or a part of them, to one file; its SHA-256 beside it.

    A damaged run is refused. With xarray a netcdf opens by engine="h5netcdf", and a zarr-zip by
    engine="zarr" and zarr.storage.ZipStore(FILE, mode="r") in the place of a path; the arrays are
    those of docs/format.md.
    """
    from mtljobs.cluster.runs import find_run
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.results.export import SUFFIXES, export

    found = find_run(run, open_workspace(workspace))
    target = output or Path(f"{found.name}{SUFFIXES[form]}")
    written = export(
        found.root,
        target,
        form=form,
        experiments=experiment or (),
        tasks=task or (),
        sparsities=sparsity or (),
    )
    console.print(f"{written}, {in_bytes(written.stat().st_size)}")
