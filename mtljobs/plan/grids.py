"""Grid files: found by name or path, read as TOML, validated to the last key."""

from __future__ import annotations

from pathlib import Path

from mtljobs.errors import GridError, nearest
from mtljobs.plan.shipped import shipped, shipped_grids
from mtljobs.plan.toml_files import read_settings
from mtljobs.settings.grid import Grid


def find_grid(name: str) -> Path:
    """The file that `--grid` means: a path, or the name of a grid in `jobs/`.

    Raises:
        GridError: There is no such file; names the nearest grids.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.parent != Path():
        if path.is_file():
            return path
        raise GridError(
            f"no grid file at {str(path)!r}; --grid takes a path or one of "
            f"{', '.join(shipped_grids())}."
        )
    if name in shipped_grids():
        return shipped(f"jobs/{name}.toml")
    raise GridError(
        f"there is no grid {name!r}{nearest(name, shipped_grids())}; a path to a TOML file works "
        "too."
    )


def read_grid(path: Path) -> Grid:
    """The grid in a file.

    Raises:
        GridError: Not TOML, or a key or value that no settings class takes; says which and names
            the nearest valid ones.
    """
    return read_settings(path, Grid, error=GridError)
