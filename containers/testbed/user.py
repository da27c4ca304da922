"""What the box's unprivileged user needs to run this process's Python packages."""

from __future__ import annotations

import stat
import sys
import sysconfig
from pathlib import Path

from testbed.machine import BoxError
from testbed.slurm import SlurmBox

# Within an image of the same release of Debian it is there too.
SYSTEM_PYTHON = "/usr/bin/python3"


def make_python(box: SlurmBox, *sources: Path) -> Path:
    """An interpreter for the box's user that imports what this process can import.

    The interpreter of a checkout often lies in root's home, where no other user may look. This is
    a virtual environment of the system's Python, in the user's home, that adds the packages of
    this one. It works in a container too, where that binds its folder and those of the packages.

    Args:
        box: A box that is up.
        sources: Folders to look for packages in before these, such as a checkout.

    Raises:
        BoxError: The system's Python is another minor version.
    """
    wanted = "{}.{}".format(*sys.version_info[:2])
    found = box.run(SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    if found.stdout.strip() != wanted:
        raise BoxError(
            f"{SYSTEM_PYTHON} is Python {found.stdout.strip()} and cannot import packages of "
            f"{wanted}. Run the tests with {found.stdout.strip()}, or leave the user out."
        )
    environment = box.home / "python"
    box.run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", environment, as_user=True)
    packages = [*sources, *(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))]
    resolved = dict.fromkeys(folder.resolve() for folder in packages)
    folders = [str(_readable(box, folder)) for folder in resolved]
    # addsitedir, not a plain line: the packages' own .pth files count too.
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    path = environment / f"lib/python{wanted}/site-packages/testbed.pth"
    path.write_text("\n".join(lines) + "\n")
    return environment / "bin" / "python"


def _readable(box: SlurmBox, folder: Path) -> Path:
    """The folder itself if the user may reach it, else a place where it is mounted for them."""
    if box.run("test", "-r", folder, as_user=True, check=False).returncode == 0:
        return folder
    if not folder.stat().st_mode & stat.S_IROTH:
        raise BoxError(f"{folder} is private to its owner: chmod o+rx, or leave the user out.")
    place = box.folder / "shared" / str(folder).strip("/").replace("/", "-")
    if not place.is_mount():
        place.mkdir(parents=True, exist_ok=True)
        box.run("mount", "--bind", "-o", "ro", folder, place)
    return place
