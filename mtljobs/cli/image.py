"""The commands `mtljobs image ...`: the container image that shards run in on a cluster."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtljobs.cli.console import make_console, print_json
from mtljobs.cli.options import JsonOption
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
        Literal["full", "host"],
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
    from mtljobs.cluster.building import build_image
    from mtljobs.cluster.image import image_digest

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
    from mtljobs.cli.show_image import print_checked
    from mtljobs.cluster.image import check_image, image_digest

    found = check_image(image, environment=environment)
    digest = image_digest(image)
    if as_json:
        rows = [asdict(row) | {"differs": row.differs} for row in found.compared]
        values = {"image": str(image), "sha256": digest, "stack": found.stack, "fits": found.fits}
        print_json(values | {"compared": rows, "passed": found.passed, "test": found.test})
    else:
        print_checked(console, found, digest)
    raise typer.Exit(0 if found.fits else MtljobsError.exit_code)


def _parse_argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name.isidentifier() and sign):
        raise UserError(f"--build-arg takes NAME=VALUE, as in PYTHON=3.12, received {text!r}.")
    return name, value
