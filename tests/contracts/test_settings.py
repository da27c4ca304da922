from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.contracts import ChannelGroup, Phase
from mtljobs.settings import canonical, digest
from mtljobs.settings.base import restore
from mtljobs.settings.data import Rooms
from mtljobs.settings.grid import Grid
from mtljobs.settings.tasks import SCORES

INFO = Rooms(name="rooms").info()
GROUPS = (ChannelGroup("a", 30, ("conv.a",)), ChannelGroup("b", 10, ("conv.b",), ("gate.b",)))


def members(annotation):
    """The settings classes that an annotation mentions."""
    if dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from members(argument)


def mentioned(cls):
    """The settings classes that the fields of a class mention, and theirs in turn."""
    yield cls
    for annotation in get_type_hints(cls, include_extras=True).values():
        for member in members(annotation):
            yield from mentioned(member)


def documented(cls):
    """Names under `Attributes:` in a docstring."""
    _, _, section = inspect.getdoc(cls).partition("Attributes:\n")
    return re.findall(r"^    (\w+):", section.partition("\n\n")[0], flags=re.MULTILINE)


def test_settings_are_frozen(settings_class, smallest):
    settings = smallest(settings_class)
    field = dataclasses.fields(settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, field, getattr(settings, field))


def test_unknown_key_is_refused(settings_class):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(settings_class).validate_python({"no_such_key": 1})
    problems = [(problem["type"], problem["loc"]) for problem in caught.value.errors()]
    assert ("unexpected_keyword_argument", ("no_such_key",)) in problems


def test_every_field_is_documented(settings_class):
    hints = get_type_hints(settings_class, include_extras=True)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(settings_class)}
    named = documented(settings_class)
    says_itself = {field for field, annotation in fields.items() if any(members(annotation))}
    assert set(named) <= set(fields)
    assert set(fields) - says_itself - set(named) <= {"name"}


def test_default_written_out_changes_no_identity(settings_class, smallest, table_of):
    settings = smallest(settings_class)
    written = TypeAdapter(settings_class).validate_python(table_of(settings))
    assert written == settings
    assert digest(canonical(written)) == digest(canonical(settings))


def test_settings_survive_the_way_through_a_plan(settings_class, smallest):
    settings = smallest(settings_class)
    line = json.dumps(canonical(settings), allow_nan=False)
    assert restore(settings_class, json.loads(line)) == settings


def test_canonical_form_holds_every_field(settings_class, smallest):
    fields = dataclasses.fields(settings_class)
    since, places = ({f.name for f in fields if m in f.metadata} for m in ("since", "place"))
    names = {field.name for field in fields} - places
    form = set(canonical(smallest(settings_class))) - {"version"}
    assert names - since <= form <= names


def test_place_has_a_default_for_the_plan_that_leaves_it_out(settings_class):
    places = [f for f in dataclasses.fields(settings_class) if "place" in f.metadata]
    assert [f.name for f in places if f.default is dataclasses.MISSING] == []


def test_field_of_a_later_release_has_a_plain_default(settings_class):
    # Only a field that equals its default stays out of the canonical form.
    later = [f for f in dataclasses.fields(settings_class) if "since" in f.metadata]
    assert [f.name for f in later if f.default is dataclasses.MISSING] == []


def test_choice_has_a_version(choice, smallest):
    assert choice.version >= 1
    assert canonical(smallest(choice))["version"] == choice.version


def test_grid_can_make_the_choice(choice):
    assert choice in set(mentioned(Grid))


def test_name_stands_for_one_choice_of_a_page(all_choices):
    names = [
        (cls.__module__, *get_args(get_type_hints(cls)["name"]))
        for cls in all_choices
        if "name" in cls.__dataclass_fields__
    ]
    assert len(set(names)) == len(names)


def test_implementation_lies_in_the_room_of_its_page(choice):
    page = choice.__module__.rpartition(".")[2]
    module, _, attribute = choice.implementation.partition(":")
    assert module.startswith(f"mtljobs.{page}.")
    assert attribute.isidentifier()


class TestTaskSettings:
    def test_score_is_said_by_the_name_of_the_task(self, task_choice, smallest):
        assert SCORES[smallest(task_choice).name] == task_choice.score
        assert task_choice.score in (Path(__file__).parents[2] / "docs/format.md").read_text()

    def test_errors_are_among_the_metrics(self, task_choice):
        assert task_choice.metrics
        assert set(task_choice.lower_is_better) <= set(task_choice.metrics)

    def test_groups_are_distinct(self, task_choice, smallest):
        groups = smallest(task_choice).groups(INFO)
        assert len(set(groups)) == len(groups) > 1

    def test_network_has_a_channel_for_the_task(self, task_choice, smallest):
        assert smallest(task_choice).channels(INFO) >= 1


class TestModelSettings:
    TASKS = ("segmentation", "depth")

    def test_channel_groups_are_made_of_the_convolutions(self, model_choice, smallest):
        settings = smallest(model_choice)
        groups = settings.channel_groups(self.TASKS)
        convolutions = settings.convolutions(self.TASKS)
        tied = [conv for group in groups for conv in (*group.producers, *group.followers)]
        assert len({group.name for group in groups}) == len(groups) > 0
        assert len(set(tied)) == len(tied)
        assert set(tied) <= set(convolutions)
        assert len(set(convolutions)) == len(convolutions)

    def test_every_group_has_channels_and_a_producer(self, model_choice, smallest):
        for group in smallest(model_choice).channel_groups(self.TASKS):
            assert group.width >= 1, group.name
            assert group.producers, group.name

    def test_task_that_is_left_out_takes_its_groups_along(self, model_choice, smallest):
        settings = smallest(model_choice)
        one, two = (settings.channel_groups(tasks) for tasks in (self.TASKS[:1], self.TASKS))
        assert {group.name for group in one} < {group.name for group in two}

    def test_network_has_the_convolutions_and_widths_that_are_stated(self, model_choice, small):
        settings, network = small(model_choice, self.TASKS)
        convolutions = {
            name: module.out_channels
            for name, module in network.named_modules()
            if hasattr(module, "out_channels")
        }
        assert tuple(convolutions) == settings.convolutions(self.TASKS)
        for group in settings.channel_groups(self.TASKS):
            members = (*group.producers, *group.followers)
            assert {convolutions[name] for name in members} == {group.width}

    @pytest.mark.parametrize("size", [(32, 64), (96, 32)])
    def test_explained_layers_are_as_large_as_stated(self, model_choice, small, size):
        settings, network = small(model_choice, self.TASKS)
        assert "last_shared" in settings.layers
        seen = {}
        for layer in settings.layers.values():
            network.get_submodule(layer).register_forward_hook(
                lambda *call, layer=layer: seen.update({layer: tuple(call[2].shape[-2:])})
            )
        network(pytest.importorskip("torch").zeros(1, 3, *size), self.TASKS)
        assert seen == {layer: settings.layer_size(layer, size) for layer in seen}
        assert seen.keys() == set(settings.layers.values())


class TestPruningSettings:
    def test_sparsity_0_is_the_training_that_all_methods_share(self, pruning_choice, smallest):
        assert smallest(pruning_choice).recipe(0.0) == (Phase(kind="train"),)

    def test_recipe_aims_at_the_sparsity_that_was_asked_for(self, pruning_choice, smallest):
        phases = smallest(pruning_choice).recipe(0.5)
        aims = [phase.sparsity for phase in phases if phase.sparsity is not None]
        assert aims[-1] == 0.5
        assert aims == sorted(aims)

    def test_method_of_a_phase_says_name_and_version(self, pruning_choice, smallest):
        methods = [phase.method for phase in smallest(pruning_choice).recipe(0.5) if phase.method]
        assert methods
        for method in methods:
            assert (method["name"], method["version"]) == (
                smallest(pruning_choice).name,
                pruning_choice.version,
            )

    def test_reachable_sparsities_leave_every_group_its_floor(self, pruning_choice, smallest):
        method = smallest(pruning_choice)
        floor = getattr(method, "floor", 0)  # a method that cuts no channels has none
        reach = method.reachable(GROUPS)
        assert 0 < reach.highest <= 1 - floor * len(GROUPS) / 40
        assert reach.highest in reach
        assert 1.0 not in reach
