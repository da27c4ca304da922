from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.settings.data import DataChoice, Folder, Rooms


@pytest.mark.parametrize("changes", [{"size": (64, 32)}, {"train": 255}, {"test": 63}, {"seed": 1}])
def test_hash_of_rooms_is_that_of_its_settings(changes):
    rooms = Rooms(name="rooms")
    assert rooms.info().sha256 == Rooms(name="rooms", seed=0).info().sha256
    assert rooms.info().sha256 != Rooms(name="rooms", **changes).info().sha256


def test_rooms_has_as_many_images_as_were_asked_for():
    splits = Rooms(name="rooms", train=3, test=1).info().splits
    assert splits == {
        "train": ("train-00000", "train-00001", "train-00002"),
        "validation": (),
        "test": ("test-00000",),
    }


def test_most_images_still_have_ids_that_sort_in_order():
    ids = Rooms(name="rooms", test=100_000).info().splits["test"]
    assert ids == tuple(sorted(ids))


@pytest.mark.parametrize("name", ["desk", "0", "My-desk_2"])
def test_id_of_a_folder_names_a_folder(name):
    assert Folder(name="folder", id=name, size=(32, 32)).id == name


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "desk\n", "-x"])
def test_id_that_could_be_another_folder_is_refused(name):
    with pytest.raises(ValidationError, match="should match pattern"):
        Folder(name="folder", id=name, size=(32, 32))


@pytest.mark.parametrize("size", [(0, 32), (32, -1), (32,), (32, 32, 3)])
def test_size_is_two_positive_numbers(size):
    with pytest.raises(ValidationError):
        TypeAdapter(DataChoice).validate_python({"name": "rooms", "size": size})
