"""Settings that are not at their defaults."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtljobs.settings.base import canonical
from mtljobs.settings.grid import Experiment
from mtljobs.settings.numerics import Numerics


@dataclass(frozen=True)
class Departure:
    """A setting with another value than its default.

    Attributes:
        setting: As a grid names it, with dots between the tables.
        value: In canonical form.
        default: The same; of this release, which may not be the one that computed.
    """

    setting: str
    value: Any
    default: Any


def find_departures(settings: Mapping[str, Any]) -> list[Departure]:
    """What an experiment sets otherwise than the settings pages do.

    Settings without a default are left out, and so are those that this release does not know.

    Args:
        settings: As the experiment's node in the store has them.

    Example:
        >>> found = find_departures({"experiment": {"explain": {"previews": 2, "maps": "native"}}})
        >>> [(one.setting, one.value, one.default) for one in found]
        [('explain.previews', 2, 4)]
    """
    experiment = _compare(Experiment, settings.get("experiment", {}), "")
    return [*experiment, *_compare(Numerics, settings.get("numerics", {}), "numerics.")]


def _compare(kind: type, values: Mapping[str, Any], path: str) -> Iterator[Departure]:
    """Departures of a settings class, and of what it contains.

    Args:
        path: Stands before the names of the class's fields.
    """
    hints = typing.get_type_hints(kind)
    for entry in dataclasses.fields(kind):
        if entry.name in values and entry.name != "name":
            value, default = values[entry.name], _default(entry)
            chosen = list(_classes(hints[entry.name]))
            if chosen and value is not None:
                yield from _compare_choices(chosen, value, default, path + entry.name)
            elif default is not dataclasses.MISSING and value != default:
                yield Departure(path + entry.name, value, default)


def _compare_choices(
    kinds: Sequence[type], value: Any, default: Any, path: str
) -> Iterator[Departure]:
    """Departures of one choice, or of each in a list: first the choice, then its own fields."""
    if isinstance(value, list):
        for choice in value:
            yield from _compare_choices(
                kinds, choice, dataclasses.MISSING, f"{path}.{choice['name']}"
            )
        return
    name = value.get("name")
    if isinstance(default, Mapping) and name != default.get("name"):
        yield Departure(f"{path}.name", name, default.get("name"))
    for kind in kinds:
        if name is None or name in typing.get_args(typing.get_type_hints(kind).get("name")):
            yield from _compare(kind, value, f"{path}.")


def _default(entry: dataclasses.Field[Any]) -> Any:
    """A field's default in canonical form; `MISSING` where it has none."""
    if entry.default_factory is not dataclasses.MISSING:
        return canonical(entry.default_factory())
    return entry.default if entry.default is dataclasses.MISSING else canonical(entry.default)


def _classes(hint: Any) -> Iterator[type]:
    """The settings classes that a type allows."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for part in typing.get_args(hint):
        yield from _classes(part)
