"""The commands `mtljobs data ...`: what becomes of images before a grid may use them.

They read images without torch; the room `data` is reached by name, as the worker reaches stages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mtljobs.cli.console import make_console, print_json, progress_bar
from mtljobs.cli.options import JsonOption, WorkspaceOption
from mtljobs.errors import UserError, counted

data_app = typer.Typer(help="Data sets that a grid may use.", no_args_is_help=True)
console = make_console()
errors = make_console(stderr=True)

WhatArgument = Annotated[
    str,
    typer.Argument(
        help="nyuv2, cityscapes, or a TOML file that describes your own images.", metavar="WHAT"
    ),
]
RootOption = Annotated[Path, typer.Option(help="Folder of the images.")]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        help="How the files of nyuv2 or cityscapes are laid out: official, mtan, adashare; "
        "default: told from the folder."
    ),
]


@data_app.command("prepare")
def prepare(
    what: WhatArgument,
    root: RootOption,
    dataset_id: Annotated[
        str | None, typer.Option("--id", help="Name for grids; default: WHAT, or the TOML's id.")
    ] = None,
    layout: LayoutOption = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Size of the images that grids may ask for; repeatable; default: the native one.",
            metavar="ROWSxCOLUMNS",
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.9,
            help="Fraction of the training images that validate, whole scenes; default: as before, "
            "at first 0.1.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a folder of images once and write what grids need of it.

    Images of nyuv2 and cityscapes are resized and packed into the workspace; those that a TOML
    describes stay where they are. Stopped and started again, it goes on where it was.
    """
    from mtljobs.cli.show_data import prepared_values, print_prepared
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.plan.datasets import write_info
    from mtljobs.settings.base import load
    from mtljobs.settings.data import PUBLISHED

    place = open_workspace(workspace)
    published = {"--id": dataset_id, "--layout": layout, "--size": size, "--validation": validation}
    if what not in PUBLISHED:
        _refuse_options(what, published)
    with progress_bar(errors) as shown:
        if what in PUBLISHED:
            info = load("mtljobs.data.preparing:prepare")(
                what,
                root,
                workspace=place,
                dataset_id=dataset_id or what,
                layout=layout,
                sizes=[_parse_size(text) for text in size or ()],
                validation=validation,
                jobs=jobs or len(os.sched_getaffinity(0)),
                progress=shown,
            )
        else:
            info = load("mtljobs.data.folder:prepare")(Path(what), root, progress=shown)
            write_info(place, info)
    if as_json:
        print_json(prepared_values(info, place))
    else:
        print_prepared(console, info, place)


@data_app.command("check")
def check(
    what: WhatArgument,
    root: RootOption,
    layout: LayoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say all that is wrong with a folder of images, file by file; writes nothing."""
    from mtljobs.settings.base import load

    found = []
    with progress_bar(errors) as shown:
        for problem in load("mtljobs.data.checking:check")(
            what, root, layout=layout, progress=shown
        ):
            found.append(problem)
            if not as_json:
                console.print(problem)
    if as_json:
        print_json({"problems": found})
    else:
        count = counted(len(found), "problem")
        console.print(f"{count} in {root}" if found else f"{root} is as it should be")
    raise typer.Exit(UserError.exit_code if found else 0)


@data_app.command("show")
def show(
    what: Annotated[
        str,
        typer.Argument(
            help="Id of a prepared data set, or rooms or another synthetic one.", metavar="ID"
        ),
    ],
    image: Annotated[str, typer.Option(help="Id of the image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of the images that a TOML described.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Draw an image with its targets, as a network sees them."""
    from mtljobs.ledger.paths import open_workspace
    from mtljobs.settings.base import load

    place = open_workspace(workspace)
    load("mtljobs.data.drawing:show")(what, image, workspace=place, root=root, output=output)
    console.print(f"wrote {output}")


def _parse_size(text: str) -> tuple[int, int]:
    from mtljobs.settings.sizes import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise UserError(
            f"--size takes ROWSxCOLUMNS in pixels, as in 288x384, received {text!r}."
        ) from error


def _refuse_options(what: str, given: Mapping[str, object]) -> None:
    """Options of published sets mean nothing for a TOML, which says such things itself.

    Raises:
        UserError: One was given, or WHAT is neither a published set nor a file.
    """
    from mtljobs.settings.data import PUBLISHED

    if not Path(what).is_file():
        raise UserError(
            f"{what!r} is neither {' nor '.join(PUBLISHED)}, nor a TOML file that describes images."
        )
    if wrong := [option for option, value in given.items() if value is not None]:
        raise UserError(
            f"{', '.join(wrong)} belongs to {' and '.join(PUBLISHED)}; {what} itself says the id "
            "and the split of its images, which are resized as they are read."
        )
