"""The commands `mtljobs image ...`: the container image that shards run in on a cluster."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mtljobs.cli.options import JsonOption
from mtljobs.cli.show import make_console, make_table, print_json
from mtljobs.cluster.building import Stack, build_image
from mtljobs.cluster.image import Checked, check_image, image_digest
from mtljobs.errors import MtljobsError, UserError

image_app = typer.Typer(help="The container image that shards run in.", no_args_is_help=True)
console = make_console()


@image_app.command("build")
def build(
    output: Annotated[Path, typer.Argument(help="SIF file to write.", metavar="IMAGE")],
    options: Annotated[
        list[str] | None,
        typer.Argument(help="After `--`: more words for `apptainer build`.", metavar="[-- OPTION]"),
    ] = None,
    checkout: Annotated[
        Path | None, typer.Option(help="Default: the checkout that this mtljobs runs from.")
    ] = None,
    stack: Annotated[
        Stack,
        typer.Option(
            help="full: Python and all packages; host: Python alone, for an environment that is "
            "bound in (`environment` in a profile)."
        ),
    ] = "full",
    arguments: Annotated[
        list[str] | None,
        typer.Option(
            "--build-arg",
            help="Of Apptainer.def, as in BASE=python:3.12-slim-bookworm; repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
) -> None:
    """Build the image from a checkout; an older one stays until the new one is whole."""
    build_image(
        output,
        checkout=checkout,
        stack=stack,
        arguments=dict(map(_parse_argument, arguments or ())),
        options=options or (),
    )
    console.print(f"wrote {output}, sha256 {image_digest(output)}")


@image_app.command("check")
def check(
    image: Annotated[Path, typer.Argument(help="SIF file.", metavar="IMAGE")],
    environment: Annotated[
        str | None,
        typer.Option(help="Virtual environment to bind in, as `environment` in a profile."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether an image fits the mtljobs that submits, and run its own test."""
    found = check_image(image, environment=environment)
    digest = image_digest(image)
    if as_json:
        rows = [asdict(row) | {"differs": row.differs} for row in found.compared]
        values = {"image": str(image), "sha256": digest, "stack": found.stack, "fits": found.fits}
        print_json(values | {"compared": rows, "passed": found.passed, "test": found.test})
    else:
        print_checked(console, found, digest)
    raise typer.Exit(0 if found.fits else MtljobsError.exit_code)


def print_checked(console: Console, found: Checked, digest: str) -> None:
    """Host against image, a line each, and what the image's own test printed."""
    table = make_table("", "host", "image", "")
    for row in found.compared:
        verdict = "" if not row.differs else "must be equal" if row.matters else "differs"
        table.add_row(row.what, row.host or "none", row.image or "none", verdict)
    console.print(table)
    console.print(f"stack      {found.stack or 'unknown'}")
    console.print(f"sha256     {digest or 'none: an unpacked image'}")
    console.print(f"self-test  {'passed' if found.passed else 'failed'}: {found.test}")
    console.print("the image fits" if found.fits else f"the image does not fit: {_advice(found)}")


def _advice(found: Checked) -> str:
    if found.stack == "host" and any(
        row.what == "mtljobs" and not row.image for row in found.compared
    ):
        return "it holds no packages; name the environment that is bound in with --environment"
    return "build it again from this checkout, or submit from what it was built of"


def _parse_argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name.isidentifier() and sign):
        raise UserError(f"--build-arg takes NAME=VALUE, as in PYTHON=3.12, received {text!r}.")
    return name, value
