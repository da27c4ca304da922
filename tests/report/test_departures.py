from __future__ import annotations

from mtljobs.report.departures import find_departures
from mtljobs.settings import canonical
from mtljobs.settings.numerics import Numerics
from mtljobs.settings.pruning import HRank, NetSlim
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.settings.training import Training


def find(**experiment) -> dict[str, tuple[object, object]]:
    found = find_departures({"experiment": experiment, "numerics": canonical(Numerics())})
    return {one.setting: (one.value, one.default) for one in found}


def test_settings_at_their_defaults_are_not_named() -> None:
    assert find(pruning=canonical(NetSlim(name="netslim"))) == {}


def test_a_changed_field_is_named_with_both_values() -> None:
    changed = find(pruning=canonical(NetSlim(name="netslim", penalty=1e-2)))
    assert changed == {"pruning.penalty": (1e-2, NetSlim(name="netslim").penalty)}


def test_fields_are_compared_with_those_of_the_class_that_was_chosen() -> None:
    assert find(pruning=canonical(HRank(name="hrank"))) == {}


def test_another_choice_than_the_default_is_named() -> None:
    explain = {"saliency": {"name": "input_gradient", "version": 1}}
    assert find(explain=explain) == {"explain.saliency.name": ("input_gradient", "grad_cam")}


def test_tasks_are_named_one_by_one() -> None:
    tasks = [canonical(Normals(name="normals")), canonical(Depth(name="depth", bins=4))]
    assert find(tasks=tasks) == {"tasks.depth.bins": (4, 5)}


def test_what_a_grid_must_say_is_no_departure() -> None:
    assert "images" not in find(explain={"images": 3})
    assert find(training=canonical(Training(iterations=7))) == {"training.iterations": (7, None)}


def test_what_this_release_does_not_know_is_passed_over() -> None:
    assert find(pruning={"name": "of_tomorrow", "strength": 3}, colour="green") == {}
