"""One image: its digest, what it says of itself, and whether it fits the mtljobs that submits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mtljobs.cluster.building import ask, find_commit, require
from mtljobs.cluster.container import Container, interpreter
from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger.files import hash_file, read_json, replace_file, to_json
from mtljobs.ledger.paths import create_folder
from mtljobs.ledger.versions import COMMIT_LABEL, LOCK_LABEL, STACK_LABEL
from mtljobs.plan.shipped import shipped

COMPARED = ("python", "submitit", "cloudpickle", "mtljobs")
"""What a pickle that is written here and read there depends on."""

_PROBE = f"""
import json, platform
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
found = {{name: version(name) for name in {COMPARED[1:]!r}}}
found["python"] = ".".join(platform.python_version_tuple()[:2])
print(json.dumps(found))
"""

RECENT_S = 2.0
"""A file that was changed this short a time ago may change again and show the same time."""


def image_digest(image: Path) -> str:
    """SHA-256 of a SIF file, 64 hex digits; empty for an unpacked image, which has none.

    Reading 3 GB takes seconds, so what was found is kept in the user's cache, and counts as long
    as the file's size, time of change and inode are the same.

    Raises:
        UserError: There is no such image, or it cannot be read.
    """
    if image.is_dir():
        return ""
    try:
        before = _look_of(image)
        kept = _kept(image)
        known = _read_digest(kept, before)
        if known:
            return known
        digest = hash_file(image)
        is_settled = _look_of(image) == before
    except OSError as error:
        raise UserError(
            f"the image {image} cannot be read: {error.strerror}. Build it with `mtljobs image "
            "build`, or name another one in the cluster's profile."
        ) from error
    if is_settled and time.time() - before["changed_ns"] / 1e9 > RECENT_S:
        with contextlib.suppress(OSError):  # a cache that cannot be written is none
            create_folder(kept.parent)
            replace_file(kept, to_json({**before, "sha256": digest}))
    return digest


def _look_of(image: Path) -> dict[str, int]:
    status = image.stat()
    return {
        "size": status.st_size,
        "changed_ns": max(status.st_mtime_ns, status.st_ctime_ns),
        "inode": status.st_ino,
    }


def _kept(image: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(image.absolute())).hexdigest()[:32]
    return cache / "mtljobs" / "images" / f"{name}.json"


def _read_digest(kept: Path, look: dict[str, int]) -> str:
    try:
        values = read_json(kept)
    except (OSError, CorruptionError):
        return ""
    is_same = isinstance(values, dict) and values.items() >= look.items()
    return str(values.get("sha256", "")) if is_same else ""


@dataclass(frozen=True)
class Comparison:
    """One thing as it is here and in the image; empty where there is none or it is unknown.

    Attributes:
        matters: Whether jobs may fail, or compute something else, where the two differ.
    """

    what: str
    host: str
    image: str
    matters: bool

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.host != self.image


@dataclass(frozen=True)
class Checked:
    """What was found of an image.

    Attributes:
        stack: "full" or "host", as it was built; empty where it does not say.
        compared: Host against image.
        passed: Whether the image's own test did.
        test: What it printed.
    """

    stack: str
    compared: tuple[Comparison, ...]
    passed: bool
    test: str

    @property
    def fits(self) -> bool:
        """Whether jobs can be submitted to it from here."""
        return self.passed and not any(row.differs and row.matters for row in self.compared)


def check_image(image: Path, *, environment: str | None) -> Checked:
    """Compare an image with the mtljobs that runs here, and run the image's own test.

    Args:
        environment: As in a profile: folder of the virtual environment to bind into the image.

    Raises:
        UserError: Apptainer or the image is missing, or the environment cannot be bound.
    """
    require("apptainer", "check the image where jobs run, on a login node that has it")
    if not image.exists():
        raise UserError(f"there is no image {image}: `mtljobs image build` makes one.")
    python, binds = interpreter(environment)
    container = Container(
        image=image.absolute(),
        python=python,
        folder=Path("/"),
        binds=tuple(binds),
        gpu=False,
        options=(),
        variables={"MTLJOBS_PYTHON": python} if environment else {},
    )
    labels = read_labels(image)
    probe = _start(container.argv("-I", "-c", _PROBE), container)
    inside = json.loads(probe.stdout) if probe.returncode == 0 else {}
    test = _start(container.self_test(), container)
    return Checked(
        stack=labels.get(STACK_LABEL, ""),
        compared=tuple(_compare(inside, labels)),
        passed=probe.returncode == 0 and test.returncode == 0,
        test=(probe.stderr if probe.returncode else test.stdout + test.stderr).strip(),
    )


def read_labels(image: Path) -> dict[str, str]:
    """What the image says of itself: version, commit, lock, stack.

    Raises:
        UserError: Apptainer does not know it as an image.
    """
    answer = ask("apptainer", "inspect", "--json", "--labels", str(image.absolute()))
    if answer.returncode:
        raise UserError(f"{image} is no image that Apptainer can read: {answer.stderr.strip()}")
    labels: dict[str, str] = json.loads(answer.stdout)["data"]["attributes"].get("labels") or {}
    return labels


def _compare(inside: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[Comparison]:
    here = {"python": ".".join(platform.python_version_tuple()[:2])}
    here |= {name: metadata.version(name) for name in COMPARED[1:]}
    for name in COMPARED:
        yield Comparison(name, here[name], inside.get(name, ""), matters=True)
    yield Comparison("lock", _lock_sha256(labels), labels.get(LOCK_LABEL, ""), matters=True)
    revision = labels.get(COMMIT_LABEL, "")
    yield Comparison(
        "commit", find_commit(shipped("Apptainer.def").parent), revision, matters=False
    )


def _lock_sha256(labels: Mapping[str, str]) -> str:
    try:
        return hash_file(shipped(f"containers/{labels.get('mtljobs.lock.name', 'compute.lock')}"))
    except FileNotFoundError:
        return ""


def _start(command: list[str], container: Container) -> subprocess.CompletedProcess[str]:
    environment = container.environment(os.environ)
    return subprocess.run(  # noqa: S603
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
