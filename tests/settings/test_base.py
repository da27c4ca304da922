from __future__ import annotations

import hashlib
from dataclasses import field
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from mtljobs.errors import GridError, MissingExtraError
from mtljobs.settings import build, canonical, derive_seed, digest
from mtljobs.settings.base import DECLARED, EXPLAINS, PLACE, load, restore, since
from mtljobs.settings.data import DataChoice, Folder
from mtljobs.settings.resources import Resources
from mtljobs.settings.tasks import Depth
from mtljobs.settings.training import Training


@dataclass(**DECLARED)
class Halving:
    """A choice as a later release may leave it.

    Attributes:
        start: There from the first.
        rounds: Added by release 0.2.
        shown: Changes explanations alone.
        folder: Where to look.
    """

    implementation: ClassVar[str] = "collections:OrderedDict"
    version: ClassVar[int] = 3

    name: Literal["halving"]
    start: float = 1.0
    rounds: int = field(default=1, metadata=since("0.2"))
    shown: int = field(default=5, metadata=EXPLAINS)
    folder: str = field(default="", metadata=PLACE)


def test_canonical_form_holds_version_name_and_defaults():
    expected = {"version": 3, "name": "halving", "start": 1.0, "shown": 5}
    assert canonical(Halving(name="halving")) == expected


def test_field_of_a_later_release_enters_once_it_leaves_its_default():
    before = canonical(Halving(name="halving", rounds=1))
    assert "rounds" not in before
    assert canonical(Halving(name="halving", rounds=2)) == {**before, "rounds": 2}


def test_canonical_form_never_says_where_something_lies():
    here, nowhere = (Halving(name="halving", folder=folder) for folder in ("/here", ""))
    assert canonical(here) == canonical(nowhere)


def test_network_does_not_depend_on_what_changes_explanations_alone():
    few, many = (Depth(name="depth", bins=bins) for bins in (5, 10))
    assert canonical(few) != canonical(many)
    assert canonical(few, learns=True) == canonical(many, learns=True)


def test_canonical_form_reaches_into_tuples_and_tables():
    value = {"tasks": (Depth(name="depth"),), 1: None}
    assert canonical(value) == {"tasks": [canonical(Depth(name="depth"))], "1": None}


def test_digest_is_the_sha256_of_sorted_json_without_spaces():
    assert (
        digest({"b": 1, "a": (0.5, None)}) == hashlib.sha256(b'{"a":[0.5,null],"b":1}').hexdigest()
    )


def test_digest_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"rate": float("nan")})


def test_seed_depends_on_every_part_of_its_purpose():
    seeds = {derive_seed(0, "order", 0), derive_seed(1, "order", 0), derive_seed(0, "flip", 0),
             derive_seed(0, "order", 1), derive_seed(0, "order")}  # fmt: skip
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_build_passes_the_fields_without_the_name_and_the_context():
    built = build(Halving(name="halving", start=0.5), sparsity=0.75)
    assert dict(built) == {"start": 0.5, "rounds": 1, "shown": 5, "folder": "", "sparsity": 0.75}


def test_missing_package_is_named_with_what_to_install():
    with pytest.raises(
        MissingExtraError, match=r"'no_such_package'.*pip install 'mtljobs\[compute\]'"
    ):
        load("no_such_package.methods:Method")


def test_missing_module_of_our_own_is_no_missing_package():
    with pytest.raises(ModuleNotFoundError, match="no_such_room"):
        load("mtljobs.no_such_room:Method")


def test_restored_choice_is_the_one_that_was_planned():
    planned = Folder(name="folder", id="desk", size=(32, 48))
    assert restore(DataChoice, canonical(planned)) == planned


def test_plan_of_another_version_is_refused():
    values = {**canonical(Halving(name="halving")), "version": 2}
    with pytest.raises(GridError, match="written by another release"):
        restore(Halving, values)


def test_data_set_may_be_called_version():
    planned = Resources(data={"version": "/data/version"})
    assert restore(Resources, canonical(planned)) == planned


def test_value_outside_of_its_range_is_no_settings_of_a_plan():
    with pytest.raises(ValidationError, match="greater than"):
        restore(Depth, {"version": 1, "name": "depth", "bins": 0})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_settings_hold_finite_numbers_alone(value):
    with pytest.raises(ValidationError, match="finite number"):
        Training(iterations=1, weight_decay=value)
