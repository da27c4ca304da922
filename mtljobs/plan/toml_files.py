"""TOML files of settings, validated to the last key: grids, and profiles of clusters."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mtljobs.errors import UserError
from mtljobs.plan.problems import explain_problems

Settings = TypeVar("Settings")


def read_settings(path: Path, kind: type[Settings], *, error: type[UserError]) -> Settings:
    """The settings in a file.

    Args:
        path: Of a TOML file.
        kind: Settings class of the whole file.
        error: What a mistake in the file is raised as.

    Raises:
        UserError: Not TOML, or a key or value that no settings class takes; says which and names
            the nearest valid ones.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}.") from problem
    except ValueError as problem:  # not UTF-8, or not TOML
        raise error(f"{path} is not a TOML file: {problem}.") from problem
    try:
        # By way of JSON: arrays become tuples there even in strict mode, which lets no "12" pass
        # for 12 and no `true` for 1.
        return TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as problem:
        raise error(f"{path}: {explain_problems(problem.errors(), kind)}.") from problem
