"""The command line of a worker inside the image: what it sees of the host, and nothing else.

The worker gets a clean environment and the folders that are named here, each at its own absolute
path, since plans and pickles hold paths. Binds are given as `--mount`, whose fields are quoted as
in CSV: `--bind` splits at colons and commas, which a folder may have in its name. Variables travel
as `APPTAINERENV_<name>`: `--env` splits at commas, which Slurm's list of nodes has. `--no-eval`
keeps Apptainer from running what stands in `$()` in them.

`--contain` is left out on purpose: its /tmp lies in memory, which counts as the job's and may be
limited to 64 MiB. What it keeps out besides (devices, /tmp, binds of the site) changes no result.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mtljobs.contracts import Shard
from mtljobs.errors import UserError
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.plan.datasets import data_folder
from mtljobs.plan.frozen import Plan
from mtljobs.settings.base import restore
from mtljobs.settings.data import DataChoice
from mtljobs.settings.profile import Profile
from mtljobs.worker import IMAGE_VARIABLE, thread_environment

IMAGE_PYTHON = "/opt/mtljobs/venv/bin/python"
"""The interpreter of an image that holds the environment, too (`STACK=full`)."""

FOR_CONTAINERS = ("APPTAINERENV_", "SINGULARITYENV_")
FORWARDED_PREFIXES = ("SLURM_", "SUBMITIT_", "MTLJOBS_")
FORWARDED_NAMES = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""Variables of the job that the worker is given: which task of which job it is, on which GPU."""

FIXED = {"PYTHONNOUSERSITE": "1", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Bind:
    """A folder or file of the host that the container sees, at the same absolute path.

    Attributes:
        path: Absolute.
        writable: Else read only.
        copy: What the container sees there instead; None: the file or folder itself.
    """

    path: Path
    writable: bool = False
    copy: Path | None = None

    def option(self) -> str:
        """Value of Apptainer's `--mount`, quoted for any character that a path may have.

        Example:
            >>> print(Bind(Path("/data/a,b")).option())
            "type=bind","source=/data/a,b","destination=/data/a,b","ro"
        """
        fields = ["type=bind", f"source={self.copy or self.path}", f"destination={self.path}"]
        if not self.writable:
            fields.append("ro")
        return ",".join('"' + field.replace('"', '""') + '"' for field in fields)


@dataclass(frozen=True)
class Container:
    """How one worker is started in an image.

    Attributes:
        image: A SIF file, or an unpacked image.
        python: The interpreter, as a path inside the container.
        folder: Where the worker starts; must be bound.
        binds: What it sees of the host.
        gpu: Whether it is given the host's NVIDIA driver.
        options: Further words for Apptainer.
        variables: Its environment, besides what is forwarded from the job.
    """

    image: Path
    python: str
    folder: Path
    binds: tuple[Bind, ...]
    gpu: bool
    options: tuple[str, ...]
    variables: Mapping[str, str]

    def argv(self, *arguments: str) -> list[str]:
        """One `apptainer exec` of the interpreter; the process that it becomes forwards signals."""
        return ["apptainer", "exec", *self._options(), str(self.image), self.python, *arguments]

    def self_test(self) -> list[str]:
        """The image's own test, under the same conditions."""
        return ["apptainer", "test", *self._options(), str(self.image)]

    def environment(self, host: Mapping[str, str]) -> dict[str, str]:
        """The environment that Apptainer itself is to be started in.

        Args:
            host: The job's. What it holds for containers in general, as `APPTAINERENV_PYTHONPATH`,
                stays outside.
        """
        inside = {name: host[name] for name in host if _is_forwarded(name)} | FIXED
        outside = {name: host[name] for name in host if not name.startswith(FOR_CONTAINERS)}
        named = {**inside, **self.variables}
        return outside | {f"APPTAINERENV_{name}": value for name, value in named.items()}

    def _options(self) -> list[str]:
        return [
            "--cleanenv", "--no-eval", "--no-home", "--no-mount=cwd", f"--pwd={self.folder}",
            *(["--nv"] if self.gpu else []),
            *(f"--mount={bind.option()}" for bind in order_binds(self.binds)), *self.options,
        ]  # fmt: skip


def _is_forwarded(name: str) -> bool:
    return name.startswith(FORWARDED_PREFIXES) or name in FORWARDED_NAMES


def worker_container(
    image: Path,
    *,
    run: RunFolder,
    plan: Plan,
    shard: Shard,
    profile: Profile,
    gpu: bool,
    digest: str,
    copies: Mapping[Path, Path],
) -> Container:
    """The container that a shard of a run is worked on in.

    Args:
        image: The profile's, or a copy of it that is nearer.
        gpu: Whether the job was given one.
        digest: Of the image, for the attempt.
        copies: Of folders that the shard reads, where they are nearer.

    Raises:
        UserError: The profile names an environment that cannot be bound into an image.
    """
    python, binds = interpreter(profile.environment)
    binds += [Bind(folder, copy=copy) for folder, copy in copies.items()]
    binds += [*run_binds(run, plan), *(Bind(Path(folder)) for folder in profile.binds)]
    return Container(
        image=image,
        python=python,
        folder=run.root,
        binds=tuple(binds),
        gpu=gpu,
        options=profile.container_options,
        variables={**thread_environment(shard), IMAGE_VARIABLE: digest},
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
        adds = around is None or bind.copy is not None or bind.writable != around.writable
        if adds and bind.path not in kept:
            kept[bind.path] = bind
    return list(kept.values())


def run_binds(run: RunFolder, plan: Plan) -> list[Bind]:
    """What the shards of a run read and write: the workspace, and the plan's data and weights.

    Of data and weights what is there: a shard that misses them says so better than Apptainer does.
    """
    named = [*plan.resources["data"].values(), *plan.resources["weights"].values()]
    # The workspace holds the run with its plans and submissions, and what runs share.
    workspace = Bind(run.root.parent, writable=True)
    return [workspace, *(Bind(place) for place in map(Path, named) if place.exists())]


def shard_data(shard: Shard, run: RunFolder, plan: Plan) -> Path | None:
    """The folder that a shard's images are read from; None where they are computed."""
    if "data" not in shard.spec:
        return None
    choice: DataChoice = restore(DataChoice, shard.spec["data"])
    return data_folder(choice, Workspace(run.root.parent), plan.resources["data"])


def interpreter(environment: str | None) -> tuple[str, list[Bind]]:
    """The Python that a worker runs, as a path inside the container, and the binds that it needs.

    Args:
        environment: As in a profile.

    Raises:
        UserError: There is no environment, or it holds no mtljobs.
    """
    if environment is None:
        return IMAGE_PYTHON, []
    python = Path(environment).absolute() / "bin" / "python"
    return str(python), environment_binds(python)


_ASK = """
import json, os, sys, mtljobs
checkout = os.path.dirname(os.path.dirname(mtljobs.__file__))
print(json.dumps([sys.prefix, sys.base_prefix, checkout, *filter(os.path.isdir, sys.path)]))
"""


def environment_binds(python: Path) -> list[Bind]:
    """What an image without an environment (`STACK=host`) must see of the host's to run it.

    Args:
        python: Interpreter of a virtual environment that mtljobs is installed in.

    Returns:
        The environment, the interpreter that it was made with, and whatever else it imports
        from, as the checkout of an editable installation. A Python of the system is not among
        them: the image has its own.

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
    return [Bind(folder) for folder in sorted(folders) if not _is_of_the_system(folder)]


def _is_of_the_system(folder: Path) -> bool:
    """Whether a folder belongs to a distribution's own packages, which the image has itself."""
    is_below_usr = folder.is_relative_to("/usr") and not folder.is_relative_to("/usr/local")
    return folder == Path("/") or is_below_usr


def _links(python: Path) -> set[Path]:
    """The installation folder of every link on the way from `bin/python` to the real file."""
    folders = set()
    place = python.absolute()
    while place.is_symlink():
        place = Path(os.path.normpath(place.parent / place.readlink()))
        folders.add(place.parents[1])
    return folders
