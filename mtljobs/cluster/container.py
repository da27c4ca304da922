"""The command line of a worker inside the image: what it sees of the host, and nothing else.

The worker gets a clean environment and the folders that are named here, each at its own absolute
path, since plans and pickles hold paths. Binds are given as `--mount` with CSV quoting: `--bind`
splits at colons and commas, which a folder may have in its name. Variables travel as
`APPTAINERENV_<name>`: `--env` splits at commas, which Slurm's list of nodes has.

`--contain` is left out on purpose: its /tmp is a RAM disk of 64 MiB unless the site says
otherwise, and a clean environment without the home folder is what results depend on.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import Plan

IMAGE_PYTHON = "/opt/mtljobs/venv/bin/python"
"""The interpreter of an image that holds the environment, too (`STACK=full`)."""

DIGEST_VARIABLE = "MTLJOBS_IMAGE_DIGEST"
"""Tells the worker which image it runs in; goes into its attempt."""

FORWARDED_PREFIXES = ("SLURM_", "SUBMITIT_", "MTLJOBS_")
FORWARDED_NAMES = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""Variables of the job that the worker is given: which task of which job it is, on which GPU."""

FIXED = {"PYTHONNOUSERSITE": "1", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Bind:
    """A folder or file of the host that the container sees, at the same absolute path."""

    path: Path
    writable: bool = False

    def option(self) -> str:
        """Value of Apptainer's `--mount`, quoted for any character that a path may have.

        Example:
            >>> Bind(Path("/data/a,b")).option()
            'type=bind,"source=/data/a,b","destination=/data/a,b",ro'
        """
        values = ["type=bind", f"source={self.path}", f"destination={self.path}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values if self.writable else [*values, "ro"])
        return line.getvalue()


@dataclass(frozen=True)
class Container:
    """How one worker is started in the image.

    Attributes:
        image: A SIF file, or an unpacked image.
        python: The interpreter, as a path inside the container.
        folder: Where the worker starts; must be bound.
        binds: What it sees of the host.
        gpu: Whether it is given the host's NVIDIA driver.
        variables: Its environment, besides what is forwarded from the job.
    """

    image: Path
    python: str
    folder: Path
    binds: tuple[Bind, ...]
    gpu: bool
    variables: Mapping[str, str] = field(default_factory=dict)

    def argv(self, *arguments: str) -> list[str]:
        """One `apptainer exec` of the interpreter with these arguments."""
        mounts = [f"--mount={bind.option()}" for bind in order_binds(self.binds)]
        return [
            "apptainer", "exec", "--cleanenv", "--no-eval", "--no-home", "--no-mount=cwd",
            *(["--nv"] if self.gpu else []), f"--pwd={self.folder}", *mounts,
            str(self.image), self.python, *arguments,
        ]  # fmt: skip

    def shell_function(self, name: str) -> str:
        """A bash function that becomes `argv` with its own arguments; ends the shell it runs in.

        Called with `&`, its process is Apptainer's own, which forwards a signal to the worker:
        `name "$@" & pid=$!`. Variables for containers that the user has set stay outside.
        """
        prefixes = " ".join(f'"${{!{prefix}@}}"' for prefix in FORWARDED_PREFIXES)
        fixed = {**FIXED, **self.variables}.items()
        exports = [
            f"    export {shlex.quote(f'APPTAINERENV_{key}={value}')}" for key, value in fixed
        ]
        return "\n".join(
            [
                f"{name}() {{",
                '    unset "${!APPTAINERENV_@}" "${!SINGULARITYENV_@}"',
                f"    for variable in {' '.join(FORWARDED_NAMES)} {prefixes}; do",
                '        [ -z "${!variable+set}" ] ||',
                '            export "APPTAINERENV_$variable=${!variable}"',
                "    done",
                *exports,
                f'    exec {shlex.join(self.argv())} "$@"',
                "}",
            ]
        )


def order_binds(binds: Iterable[Bind]) -> list[Bind]:
    """Binds as Apptainer must be given them: outer folders first, none twice.

    One that lies in another and adds nothing is left out; of two for one path the writable counts.

    Example:
        >>> binds = [Bind(Path("/d/runs"), writable=True), Bind(Path("/d")), Bind(Path("/d/x"))]
        >>> [str(bind.path) for bind in order_binds(binds)]
        ['/d', '/d/runs']
    """
    kept: dict[Path, Bind] = {}
    for bind in sorted(binds, key=lambda bind: (len(bind.path.parts), not bind.writable)):
        around = next((kept[p] for p in (bind.path, *bind.path.parents) if p in kept), None)
        if around is None or (bind.path not in kept and bind.writable != around.writable):
            kept[bind.path] = bind
    return list(kept.values())


def run_binds(run: RunFolder, plan: Plan) -> list[Bind]:
    """What the shards of a run read and write: the workspace, and the plan's data and weights."""
    places = [*plan.resources["data"].values(), *plan.resources["weights"].values()]
    # The workspace holds the run with its plans and submissions, and what runs share.
    return [Bind(run.root.parent, writable=True), *(Bind(Path(place)) for place in places)]


_ASK = """
import json, pathlib, sys, mtljobs
print(json.dumps([sys.prefix, sys.base_prefix, str(pathlib.Path(mtljobs.__file__).parents[1])]))
"""


def environment_binds(python: Path) -> list[Bind]:
    """What an image without an environment (`STACK=host`) must see of the host's to run it.

    Args:
        python: Interpreter of a virtual environment that mtljobs is installed in.

    Returns:
        The environment, the interpreter that it was made with, and the checkout of an editable
        installation. A Python of the system is not among them: the image has its own.

    Raises:
        UserError: This interpreter does not run, or has no mtljobs.
    """
    command = [str(python), "-I", "-c", _ASK]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        problem = answer.stderr.strip()
    except OSError as error:
        answer, problem = None, str(error)
    if answer is None or answer.returncode:
        raise UserError(
            f"{python} cannot be the environment of an image that holds none: {problem}. Name the "
            "python of a virtual environment with mtljobs[compute]."
        )
    folders = {Path(folder) for folder in json.loads(answer.stdout)} | _links(python)
    return [Bind(folder) for folder in sorted(folders) if folder not in {Path("/usr"), Path("/")}]


def _links(python: Path) -> set[Path]:
    """The installation folder of every link on the way from `bin/python` to the real file."""
    folders = set()
    place = python.absolute()
    while place.is_symlink():
        place = Path(os.path.normpath(place.parent / place.readlink()))
        folders.add(place.parents[1])
    return folders
