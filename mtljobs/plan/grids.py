"""Grid files: found by name or path, read as TOML, validated to the last key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mtljobs.errors import GridError, nearest
from mtljobs.plan.problems import explain_problems
from mtljobs.plan.shipped import shipped, shipped_grids
from mtljobs.settings import Grid


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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GridError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise GridError(f"{path} is not a TOML file: {error}.") from error
    try:
        # By way of JSON: arrays become tuples there even in strict mode, which lets no "12" pass
        # for 12 and no `true` for 1.
        return TypeAdapter(Grid).validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise GridError(f"{path}: {explain_problems(error.errors(), Grid)}.") from error
