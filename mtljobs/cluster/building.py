"""Building the image from a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from mtljobs.errors import MtljobsError, UserError
from mtljobs.plan.shipped import shipped

Stack = Literal["full", "host"]


def build_image(
    output: Path,
    *,
    checkout: Path | None,
    stack: Stack,
    arguments: Mapping[str, str],
    options: Sequence[str],
) -> None:
    """Build an image that holds the checkout's mtljobs; an older one stays until it is whole.

    Args:
        output: The SIF file.
        checkout: None: the one that this mtljobs runs from.
        stack: "host" leaves out the packages, for an environment that is bound in.
        arguments: More `%arguments` of `Apptainer.def`.
        options: More words for `apptainer build`.

    Raises:
        UserError: Apptainer, the checkout or hatchling is missing.
        MtljobsError: The build failed; what it printed says why.
    """
    require("apptainer", "build the image on another machine, and copy it")
    root = find_checkout(checkout)
    wheel = build_wheel(root)
    named = {"STACK": stack, "WHEEL": str(wheel.relative_to(root)), "COMMIT": find_commit(root)}
    named |= arguments
    if "BASE" in named and Path(named["BASE"]).exists():  # a folder here; Apptainer starts in root
        named["BASE"] = str(Path(named["BASE"]).absolute())
    aside = output.absolute().with_name(f".{output.name}.{os.getpid()}.aside")
    command = [
        "apptainer", "build", *options,
        *(f"--build-arg={name}={value}" for name, value in named.items()),
        str(aside), "Apptainer.def",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode:
            raise MtljobsError(
                f"`apptainer build` ended with {done.returncode}; its last lines say why. Where "
                "no registry of images can be reached, containers/base-root.sh makes a base."
            )
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


def find_checkout(folder: Path | None) -> Path:
    """The checkout in a folder, or else the one that this mtljobs runs from.

    Raises:
        UserError: That is none.
    """
    root = (folder or shipped("Apptainer.def").parent).resolve()
    missing = [name for name in ("Apptainer.def", "pyproject.toml") if not (root / name).is_file()]
    if missing:
        raise UserError(
            f"{root} is no checkout of mtljobs ({' and '.join(missing)} missing), and an image is "
            "built from one, so that it holds the code that was tested: clone the repository, and "
            "name its folder with --checkout."
        )
    return root


def find_commit(checkout: Path) -> str:
    """The commit of a checkout, with "-dirty" where files differ from it; "unknown" without git."""
    # A folder inside of some other repository is none: an installation in a checkout's .venv, say.
    if shutil.which("git") is None or not (checkout / ".git").exists():
        return "unknown"
    head = ask("git", "-C", str(checkout), "rev-parse", "HEAD")
    changes = ask("git", "-C", str(checkout), "status", "--porcelain", "--untracked-files=no")
    if head.returncode or changes.returncode:
        return "unknown"
    return head.stdout.strip() + ("-dirty" if changes.stdout else "")


def build_wheel(checkout: Path) -> Path:
    """The wheel of a checkout, in its `dist/`.

    Raises:
        UserError: hatchling is missing, or cannot build it.
    """
    answer = ask(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=checkout)
    printed = (answer.stdout + answer.stderr).splitlines()  # where the wheel is, on either
    wheels = [line.strip() for line in printed if line.endswith(".whl")]
    if answer.returncode or not wheels:
        raise UserError(
            f"hatchling built no wheel of {checkout}: {answer.stderr.strip()}. `make .venv/ready` "
            "there installs what a build needs; then use its .venv/bin/mtljobs."
        )
    return checkout / wheels[-1]


def require(command: str, advice: str) -> None:
    """Refuse to go on without a command.

    Raises:
        UserError: It is not on the PATH; ends with the advice.
    """
    if shutil.which(command) is None:
        raise UserError(f"there is no `{command}` on the PATH: {advice}.")


def ask(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What a command prints, and how it ended."""
    return subprocess.run(  # noqa: S603
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
