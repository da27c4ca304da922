"""Images for the box, without a registry of images: a base of Debian's packages, built once.

Both live in `CACHE`, which every user may read and every checkout on this machine shares.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from testbed.machine import PATH, BoxError

CACHE = Path("/var/cache/mtljobs-testbed")
SCRIPT = Path(__file__).resolve().parents[1] / "base-root.sh"


def base_root() -> Path:
    """A root file system of this machine's release of Debian, by `containers/base-root.sh`."""
    release = Path("/etc/os-release").read_text()
    with _cached(f"root-{_digest([release, SCRIPT.read_text()])}") as (path, aside):
        if not path.exists():
            _run(str(SCRIPT), str(aside))
            aside.replace(path)
    return path


def build_image(
    definition: Path,
    *,
    arguments: Mapping[str, str],
    folder: Path | None = None,
    inputs: Sequence[Path] = (),
) -> Path:
    """The image of a definition file, which every user may read; the same one until it changes.

    Args:
        definition: As `apptainer build` takes it.
        arguments: Its `--build-arg`s.
        folder: Where its `%files` are looked for; else where the definition is.
        inputs: Files that it copies: if one of them changes, the image is built again.
    """
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (definition, *inputs)]
    name = f"{definition.stem}-{_digest([contents, sorted(arguments.items())])}.sif"
    with _cached(name) as (path, aside):
        if not path.exists():
            _run(
                "apptainer",
                "build",
                "--fakeroot",
                # Quick to make; what it is measured by is how soon tests begin.
                "--mksquashfs-args=-comp gzip -Xcompression-level 1",
                *(f"--build-arg={key}={value}" for key, value in arguments.items()),
                str(aside),
                str(definition.resolve()),
                cwd=folder or definition.parent,
            )
            aside.chmod(0o755)
            aside.replace(path)
    return path


@contextlib.contextmanager
def _cached(name: str) -> Iterator[tuple[Path, Path]]:
    """Its place in the cache and an empty one to make it in, while nobody else does."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside = CACHE / f"{name}.part"
        _remove(aside)
        yield CACHE / name, aside


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BoxError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
