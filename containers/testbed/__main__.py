"""A box by hand: `PYTHONPATH=containers python -m testbed up | down | shell`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import fields

from testbed.config import SlurmOptions
from testbed.folder import ROOT
from testbed.machine import PATH, BoxError
from testbed.slurm import SlurmBox


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(prog="testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {"up": "start a box that stays up", "shell": "a shell with one"}.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("options", nargs="*", metavar="NAME=VALUE", help=_option_names())
    commands.add_parser("down", help="stop what `up` has started")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            _up(_options(arguments.options))
        elif arguments.command == "shell":
            sys.exit(_shell(_options(arguments.options)))
        else:
            _down()
    except BoxError as error:
        sys.exit(f"testbed: {error}")


def _up(options: SlurmOptions) -> None:
    box = SlurmBox.start(options, detached=True)
    for name, value in box.environment.items():
        print(f"export {name}={value}")
    print(f"# {box.user} is its unprivileged user, {box.home} the home")


def _shell(options: SlurmOptions) -> int:
    with SlurmBox.start(options) as box:
        print(f"Nodes n1 and n2 are idle, {box.user} is a user; all ends with this shell.")
        environment = {**os.environ, **box.environment, "PATH": PATH}
        return subprocess.call([os.environ.get("SHELL", "/bin/sh")], env=environment)


def _down() -> None:
    for path in sorted(ROOT.glob("*/keeper.pid")):
        box = SlurmBox.find(path.parent)
        if box.layout.detached:  # the others are somebody's who is at work
            box.stop()


def _options(assignments: list[str]) -> SlurmOptions:
    """From `grace_s=0`, `notice=false`; numbers and truths, which is all that needs no code."""
    kinds = {field.name: field.type for field in fields(SlurmOptions)}
    values: dict[str, int | bool] = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if kinds.get(name) == "int" and value.isdecimal():
            values[name] = int(value)
        elif kinds.get(name) == "bool" and value in {"true", "false"}:
            values[name] = value == "true"
        else:
            raise BoxError(f"{assignment!r} is no option; known are {_option_names()}.")
    return SlurmOptions(**values)  # type: ignore[arg-type]


def _option_names() -> str:
    return ", ".join(
        f"{field.name}={str(field.default).lower()}"
        for field in fields(SlurmOptions)
        if field.type in {"int", "bool"}
    )


if __name__ == "__main__":
    main()
