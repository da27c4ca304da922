"""What every settings class shares: how it is declared, made canonical, and built.

A settings class is a frozen pydantic dataclass, declared with `@dataclass(**DECLARED)`. Its
fields are the keys of a grid file; `name` picks the class, `implementation` says what it stands
for, `version` is raised when the same fields come to mean other results.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypedDict

from pydantic import ConfigDict, TypeAdapter

from mtljobs.errors import GridError, MissingExtraError


class _Declared(TypedDict):
    frozen: bool
    kw_only: bool
    config: ConfigDict


DECLARED: _Declared = {
    "frozen": True,
    "kw_only": True,
    "config": ConfigDict(extra="forbid", allow_inf_nan=False),
}
"""Keywords of every settings class: frozen, keyword-only, no unknown keys, no infinite numbers."""


class Choice(Protocol):
    """What `build` and `canonical` need of a settings class that names an implementation."""

    @property
    def name(self) -> str:
        """What picks the class in a grid."""
        ...

    implementation: ClassVar[str]
    version: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Any]]


def since(release: str) -> dict[str, Any]:
    """Metadata of a field that a later release added.

    It stays out of the canonical form while it has its default, which must reproduce what the
    releases before it did, so that old identities hold.
    """
    return {"since": release}


EXPLAINS = {"explains": True}
"""Metadata of a field of a task or model that changes what is found, but not the network."""

PLACE = {"place": True}
"""Metadata of a field that says where something lies, not what it is: in no canonical form."""


def canonical(settings: Any, *, learns: bool = False) -> Any:
    """Settings as plain JSON values, complete: what identities are made of.

    Args:
        settings: A settings object, or a value inside one.
        learns: Leave out the fields that matter to explanations alone.

    Example:
        >>> from mtljobs.settings.pruning import NetSlim
        >>> canonical(NetSlim(name="netslim", penalty=1e-3))["penalty"]
        0.001
    """
    if dataclasses.is_dataclass(settings):
        values: dict[str, Any] = {}
        if (version := getattr(settings, "version", None)) is not None:
            values["version"] = version
        for entry in dataclasses.fields(settings):
            value = getattr(settings, entry.name)
            if "place" in entry.metadata:
                continue
            if "since" in entry.metadata and value == entry.default:
                continue
            if learns and entry.metadata.get("explains"):
                continue
            values[entry.name] = canonical(value, learns=learns)
        return values
    if isinstance(settings, Mapping):
        return {str(key): canonical(value, learns=learns) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [canonical(value, learns=learns) for value in settings]
    return settings


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of a value's canonical JSON.

    Example:
        >>> digest({"b": 1, "a": [1.0, None]}) == digest({"a": (1.0, None), "b": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def derive_seed(seed: int, purpose: str, *index: int) -> int:
    """A seed (63 bit) that is a function of what it is for, never of who asks or when.

    Example:
        >>> derive_seed(0, "order", 3) == derive_seed(0, "order", 3) != derive_seed(1, "order", 3)
        True
    """
    return int(digest([seed, purpose, *index])[:16], 16) >> 1


def load(implementation: str) -> Any:
    """What `"module:attribute"` names.

    Raises:
        MissingExtraError: The module needs a package that `pip install mtljobs` leaves out.
    """
    module, attribute = implementation.split(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "mtljobs":
            raise
        raise MissingExtraError(
            f"{implementation} needs the package {error.name!r}, which this installation does not "
            "have: computing takes `pip install 'mtljobs[compute]'` (about 6 GB, torch among it); "
            "planning, status and reading results do not need it."
        ) from error


def build(settings: Choice, **context: Any) -> Any:
    """The implementation that a choice names, made from the choice's fields and the context.

    The one place that calls an implementation. What the context holds is said at the top of the
    choice's settings page.
    """
    fields = {
        entry.name: getattr(settings, entry.name)
        for entry in dataclasses.fields(settings)
        if entry.name != "name"
    }
    return load(settings.implementation)(**fields, **context)


def restore(kind: Any, values: Any) -> Any:
    """The settings object whose canonical form is `values`, as it stands in a plan.

    Args:
        kind: A settings class, or the union of a page, such as `DataChoice`.

    Raises:
        GridError: The plan was made by a release whose settings mean something else.
    """
    restored = TypeAdapter(kind).validate_python(_without_versions(values))
    if canonical(restored) != values and canonical(restored, learns=True) != values:
        raise GridError(
            f"the plan was written by another release of mtljobs: {values!r} does not mean the "
            "same here. Finish the run with that release, or submit to another run."
        )
    return restored


def _without_versions(values: Any) -> Any:
    if isinstance(values, Mapping):
        # A version is a number; a data set may be called "version", and lies in a folder.
        return {
            key: _without_versions(value)
            for key, value in values.items()
            if key != "version" or isinstance(value, str)
        }
    if isinstance(values, (list, tuple)):
        return [_without_versions(value) for value in values]
    return values
