"""Grid files: found by name or path, read as TOML, validated to the last key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mtljobs.errors import GridError
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GridError(f"{path} is not a TOML file: {error}.") from error
    try:
        return TypeAdapter(Grid).validate_python(table)
    except ValidationError as error:
        problems = [explain_problem(problem, Grid) for problem in error.errors()]
        raise GridError(f"{path}: {'; '.join(problems)}.") from error


def nearest(word: str, valid: Iterable[str]) -> str:
    """A clause that names what a misspelt word may have meant.

    Example:
        >>> nearest("netslimm", ["netslim", "hrank"])
        " (did you mean 'netslim'?)"
        >>> nearest("x", ["netslim", "hrank"])
        ' (valid: hrank, netslim)'
    """
    valid = sorted(valid)
    near = difflib.get_close_matches(word, valid, n=3, cutoff=0.6)
    if near:
        return f" (did you mean {' or '.join(map(repr, near))}?)"
    return f" (valid: {', '.join(valid)})" if valid else ""


def explain_problem(problem: ErrorDetails, root: Any) -> str:  # noqa: PLR0911 (a table)
    """One validation error as a clause: where, what was received, what is valid there."""
    location = problem["loc"]
    where = _dotted(location)
    received = problem["input"]
    match problem["type"]:
        case "unexpected_keyword_argument" | "unexpected_positional_argument":
            keys = _keys_at(root, location[:-1])
            return f"unknown key {where}{nearest(str(location[-1]), keys)}"
        case "missing" | "missing_keyword_only_argument" | "missing_argument":
            return f"the key {where} is missing"
        case "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])
            valid = [name.strip("' ") for name in problem["ctx"]["expected_tags"].split(",")]
            return f"{where}.name = {tag!r} is unknown{nearest(tag, valid)}"
        case "union_tag_not_found":
            return f"{where} needs a name, received {received!r}"
        case "literal_error":
            valid = [
                name.strip("' ")
                for name in problem["ctx"]["expected"].replace(" or ", ",").split(",")
            ]
            return f"{where} = {received!r} is unknown{nearest(str(received), valid)}"
        case "value_error":
            return f"{where}: {problem['ctx']['error']}"
        case _:
            return f"{where} = {received!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _keys_at(root: Any, location: Sequence[int | str]) -> list[str]:
    """Field names of the settings class at a location of a validation error."""
    here = root
    for part in location:
        here = _step_into(here, part)
    return (
        [field.name for field in dataclasses.fields(here)] if dataclasses.is_dataclass(here) else []
    )


def _step_into(annotation: Any, part: int | str) -> Any:
    if dataclasses.is_dataclass(annotation):
        return _plain(get_type_hints(annotation, include_extras=False).get(str(part)))
    if get_origin(annotation) is tuple:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:  # `part` is the tag that picked a member
        return next(
            (member for member in get_args(annotation) if part in _tags(member)), annotation
        )
    return annotation


def _plain(annotation: Any) -> Any:
    """Without `Annotated` and `None`."""
    if hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    members = [member for member in get_args(annotation) if member is not type(None)]
    return (
        members[0]
        if get_origin(annotation) in {Union, UnionType} and len(members) == 1
        else annotation
    )


def _tags(member: Any) -> tuple[Any, ...]:
    return get_args(get_type_hints(member).get("name"))
