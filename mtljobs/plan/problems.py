"""What is wrong with a TOML file, in its words: which key, what stands there, what may."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic_core import ErrorDetails

from mtljobs.errors import nearest

Location = Sequence[int | str]
"""Keys and indices from the root of the file to a value, and the members of unions tried there."""


def explain_problems(problems: Sequence[ErrorDetails], root: Any) -> str:
    """All that is wrong with a table, a clause per key.

    Args:
        problems: As pydantic found them in strict mode.
        root: The settings class of the table.
    """
    by_key: dict[str, list[ErrorDetails]] = {}
    for problem in problems:
        if not _follows_from_others(problem, problems):
            key, _ = _locate(problem["loc"], root)
            by_key.setdefault(key, []).append(problem)
    return "; ".join(_explain_key(key, found, root) for key, found in by_key.items())


def _follows_from_others(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Whether an array only counts as empty because its entries are wrong."""
    here = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(here) and other["loc"][: len(here)] == here for other in problems
    )


def _explain_key(key: str, problems: list[ErrorDetails], root: Any) -> str:
    if len(problems) == 1:
        return _explain(key, problems[0], root)
    # One problem for each kind of value that may stand there.
    expected = " or ".join(_expected(problem) for problem in problems)
    return f"{key} = {problems[0]['input']!r} should {expected}"


def _explain(key: str, problem: ErrorDetails, root: Any) -> str:  # noqa: C901, PLR0911 (a table)
    received, context = problem["input"], problem.get("ctx", {})
    _, here = _locate(problem["loc"], root)
    match problem["type"]:
        case "unexpected_keyword_argument":
            *parents, word = problem["loc"]
            return f"unknown key {key}{nearest(str(word), _keys(_locate(parents, root)[1]))}"
        case "missing":
            return f"the key {key} is missing"
        case "union_tag_not_found":
            return f"the key {key}.name is missing{nearest('', _names(here))}"
        case "union_tag_invalid":
            name = str(context["tag"])
            return f"{key}.name = {name!r} is unknown{nearest(name, _names(here))}"
        case "literal_error":
            return f"{key} = {received!r} is unknown{nearest(str(received), get_args(here))}"
        case "dataclass_type" | "dict_type":
            return f"{key} should be a table{_example(received, here)}, received {received!r}"
        case "tuple_type" if isinstance(received, dict):
            section = re.sub(r"\[\d+\]", "", key)
            return f"{key} should be an array of tables, [[{section}]], received a single table"
        case "tuple_type":
            return f"{key} should be an array, [...], received {received!r}"
        case "too_short":
            return f"{key} needs {context['min_length']} entry at least"
        case "too_long":
            return f"{key} takes {context['max_length']} entries, received {received!r}"
        case "value_error":
            return f"{key}: {context['error']}"
    return f"{key} = {received!r} should {_expected(problem)}"


def _expected(problem: ErrorDetails) -> str:
    """What a message of pydantic's, "Input should be ...", asks for."""
    return problem["msg"].partition(" should ")[2]


def _example(received: Any, annotation: Any) -> str:
    """What a choice looks like in a grid: the one that was meant, or else the first."""
    names = _names(annotation)
    name = received if received in names else next(iter(names), None)
    return "" if name is None else f' like {{ name = "{name}" }}'


def _locate(location: Location, root: Any) -> tuple[str, Any]:
    """The dotted key of a place in the file, and the annotation of what belongs there."""
    key, here = "", root
    for part in location:
        if _is_union(here):  # `part` is no key: it says which member was tried.
            here = next((member for member in get_args(here) if part in _names(member)), here)
            continue
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
        here = _step_into(here, part)
    return key.removeprefix("."), here


def _step_into(annotation: Any, part: int | str) -> Any:
    if dataclasses.is_dataclass(annotation):
        return _without_none(get_type_hints(annotation).get(str(part)))
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return None


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not type(None)]
    return members[0] if _is_union(annotation) and len(members) == 1 else annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, UnionType}


def _keys(annotation: Any) -> list[str]:
    """The keys of a settings class."""
    is_class = dataclasses.is_dataclass(annotation)
    return [field.name for field in dataclasses.fields(annotation)] if is_class else []


def _names(annotation: Any) -> list[str]:
    """The names by which a table may choose a settings class, or one of a union."""
    if _is_union(annotation):
        return [name for member in get_args(annotation) for name in _names(member)]
    if not dataclasses.is_dataclass(annotation):
        return []
    name = get_type_hints(annotation).get("name")
    return list(get_args(name)) if get_origin(name) is Literal else []
