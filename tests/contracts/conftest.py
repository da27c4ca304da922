"""Every class of `mtljobs/settings/` is a parameter: an addition is tested by being there."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

import mtljobs.settings
from mtljobs.settings import build
from mtljobs.settings.explanation import Explain


def settings_classes():
    """All settings classes, page by page."""
    for page in pkgutil.iter_modules(mtljobs.settings.__path__, "mtljobs.settings."):
        for value in vars(importlib.import_module(page.name)).values():
            own = getattr(value, "__module__", None) == page.name
            if own and isinstance(value, type) and hasattr(value, "__pydantic_config__"):
                yield value


CLASSES = list(dict.fromkeys(settings_classes()))
CHOICES = [cls for cls in CLASSES if hasattr(cls, "implementation")]


def choices_of(page):
    return [cls for cls in CHOICES if cls.__module__ == f"mtljobs.settings.{page}"]


PARAMETERS = {
    "settings_class": CLASSES,
    "choice": CHOICES,
    "task_choice": choices_of("tasks"),
    "model_choice": choices_of("models"),
    "pruning_choice": choices_of("pruning"),
    "saliency_choice": [cls for cls in choices_of("explain") if hasattr(cls, "map_size")],
    "faithfulness_choice": get_args(get_type_hints(Explain)["faithfulness"]),
    "synthetic_choice": [cls for cls in choices_of("data") if hasattr(cls, "info")],
}


def pytest_generate_tests(metafunc):
    for name in filter(metafunc.fixturenames.__contains__, PARAMETERS):  # in one order for all
        metafunc.parametrize(name, PARAMETERS[name], ids=lambda cls: cls.__name__)


@pytest.fixture
def all_choices():
    return CHOICES


@pytest.fixture
def smallest():
    """Makes a settings object from no more keys than its class requires."""
    return lambda cls: TypeAdapter(cls).validate_python(smallest_table(cls))


@pytest.fixture
def small(smallest):
    """Makes a network's settings at a sixteenth of its width, and the network, to be looked at."""

    pytest.importorskip("torch", reason="a network is built")

    def make(cls, tasks):
        settings = dataclasses.replace(smallest(cls), width=1 / 16)
        return settings, build(settings, channels=dict.fromkeys(tasks, 2), widths=None).eval()

    return make


@pytest.fixture
def table_of():
    """Makes the table of a grid file that a settings object stands for, defaults written out."""
    return written_out


def smallest_table(cls):
    schema = TypeAdapter(cls).json_schema()
    return smallest_value(schema, schema.get("$defs", {}))


def smallest_value(schema, definitions):
    """A value that a JSON schema admits."""
    match schema:
        case {"$ref": reference}:
            value = smallest_value(definitions[reference.rpartition("/")[2]], definitions)
        case {"type": "object"}:
            one_of = schema.get("oneOf", [{"required": []}])[0]  # keys of which one must be there
            keys = (*schema.get("required", ()), *one_of["required"])
            value = {key: smallest_value(schema["properties"][key], definitions) for key in keys}
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            value = smallest_value(first, definitions)
        case {"const": value} | {"enum": [value, *_]}:
            pass
        case {"type": "array"}:
            items = schema.get("prefixItems", [schema.get("items")] * schema.get("minItems", 0))
            value = [smallest_value(item, definitions) for item in items]
        case {"type": "integer"}:
            value = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case {"type": "string"}:
            value = "a" * schema.get("minLength", 1)
        case {"type": kind}:
            value = {"number": 0.5, "boolean": False}[kind]
    return value


def written_out(value):
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: written_out(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple):
        return [written_out(entry) for entry in value]
    return value
