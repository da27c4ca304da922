"""What a settings class names is there, and fits the seam that its room meets the others by."""

from __future__ import annotations

import dataclasses
import inspect
from typing import get_args, get_type_hints

import pytest

from mtljobs import contracts
from mtljobs.settings import build
from mtljobs.settings.base import load
from mtljobs.settings.data import Rooms
from mtljobs.settings.explanation import Explain
from mtljobs.settings.store import Store

# Role -> the Protocol that rooms meet by, and what `build` is given besides the choice's fields.
SEAMS = {
    "data": (contracts.Dataset, {"info", "split", "root"}),
    "models": (contracts.Model, {"channels", "widths"}),
    "tasks": (contracts.Task, {"info"}),
    "weighting": (contracts.Weighting, {"tasks"}),
    "pruning": (contracts.Pruner, set()),
    "training": (
        None,
        {"model", "tasks", "weighting", "hooks", "dataset", "validation", "depth_unit", "seed"},
    ),
    "forward": (None, {"network", "example"}),
    "saliency": (contracts.Saliency, set()),
    "superpixels": (contracts.Superpixels, set()),
    "faithfulness": (contracts.Faithfulness, {"batch"}),
}


def role_of(choice):
    """The choice's page; on the page of explanations, the key of `explain` that takes it."""
    page = choice.__module__.rpartition(".")[2]
    if page != "explain":
        return page
    hints = get_type_hints(Explain)
    return next(key for key, hint in hints.items() if choice in (hint, *get_args(hint)))


def methods(protocol):
    """Name -> signature of every method that a Protocol asks for."""
    return {
        name: inspect.signature(value)
        for cls in protocol.__mro__
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and value.__module__ == contracts.__name__
    }


def shape(signature):
    return [(parameter.name, parameter.kind) for parameter in signature.parameters.values()]


def test_implementation_takes_the_fields_and_the_context(choice):
    _, context = SEAMS[role_of(choice)]
    expected = ({field.name for field in dataclasses.fields(choice)} - {"name"}) | context
    assert set(inspect.signature(load(choice.implementation)).parameters) == expected


def test_implementation_has_no_defaults_of_its_own(choice):
    parameters = inspect.signature(load(choice.implementation)).parameters.values()
    assert [p.name for p in parameters if p.default is not p.empty] == []
    assert {p.kind for p in parameters} <= {inspect.Parameter.KEYWORD_ONLY}


def test_implementation_has_the_methods_of_its_seam(choice):
    protocol, _ = SEAMS[role_of(choice)]
    if protocol is None:
        return
    implementation = load(choice.implementation)
    for name, asked in methods(protocol).items():
        module_call = name == "__call__" and hasattr(implementation, "forward")
        given = getattr(implementation, "forward" if module_call else name, None)
        assert given is not None, name
        assert shape(inspect.signature(given)) == shape(asked), name


def test_task_is_what_its_settings_say(task_choice, smallest):
    info = Rooms(name="rooms").info()
    settings = smallest(task_choice)
    task = build(settings, info=info)
    assert (task.name, task.channels) == (settings.name, settings.channels(info))


@pytest.mark.parametrize("backend", get_args(get_type_hints(Store)["backend"]))
def test_store_has_every_backend_that_it_offers(backend):
    assert callable(load(Store.implementations[backend]))
