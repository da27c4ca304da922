from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.settings.classes import (
    CITYSCAPES7_CLASSES,
    CITYSCAPES7_OF_19,
    CITYSCAPES19_CLASSES,
    NYU13_CLASSES,
)
from mtljobs.settings.data import (
    PUBLISHED,
    Cityscapes,
    DataChoice,
    Folder,
    NYUv2,
    Rooms,
    Streets,
)
from mtljobs.settings.sizes import parse_size


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


@pytest.mark.parametrize(
    ("classes", "names"), [(7, CITYSCAPES7_CLASSES), (19, CITYSCAPES19_CLASSES)]
)
def test_streets_have_the_classes_that_were_asked_for(classes, names):
    info = Streets(name="streets", classes=classes).info()
    assert info.class_names == names
    assert len(names) == classes
    assert info.sha256 != Streets(name="streets", classes=26 - classes).info().sha256


def test_every_cityscapes_class_is_of_one_category():
    members = {
        category: [
            name
            for name, position in zip(CITYSCAPES19_CLASSES, CITYSCAPES7_OF_19, strict=True)
            if CITYSCAPES7_CLASSES[position] == category
        ]
        for category in CITYSCAPES7_CLASSES
    }
    assert members == {
        "flat": ["road", "sidewalk"],
        "construction": ["building", "wall", "fence"],
        "object": ["pole", "traffic light", "traffic sign"],
        "nature": ["vegetation", "terrain"],
        "sky": ["sky"],
        "human": ["person", "rider"],
        "vehicle": ["car", "truck", "bus", "train", "motorcycle", "bicycle"],
    }


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


def test_published_sets_are_known_before_they_are_prepared():
    nyuv2, cityscapes = NYUv2(name="nyuv2").published(), Cityscapes(name="cityscapes").published()
    assert [len(ids) for ids in nyuv2.splits.values()] == [795, 0, 654]
    assert [len(ids) for ids in cityscapes.splits.values()] == [2975, 0, 500]
    assert (nyuv2.class_names, cityscapes.class_names) == (NYU13_CLASSES, CITYSCAPES7_CLASSES)
    assert (nyuv2.depth_unit, cityscapes.depth_unit) == ("m", "disparity")
    assert "normals" in nyuv2.tasks
    assert "normals" not in cityscapes.tasks


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_images_are_not_copied_and_counts_are_no_identity(name):
    info = PUBLISHED[name].published()
    assert not info.preview_allowed
    assert info.sha256 is None


@pytest.mark.parametrize(
    ("name", "counts"), [("nyuv2", {13: 13, 40: 40}), ("cityscapes", {7: 7, 19: 19})]
)
def test_classes_pick_as_many_names(name, counts):
    for classes, count in counts.items():
        choice = TypeAdapter(DataChoice).validate_python({"name": name, "classes": classes})
        assert len(set(choice.published().class_names)) == count


def test_number_of_classes_that_nobody_defined_is_refused():
    with pytest.raises(ValidationError, match="13 or 40"):
        NYUv2(name="nyuv2", classes=14)


@pytest.mark.parametrize("text", ["", "32", "axb", "0x4", "4x-1", "1x2x3"])
def test_size_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is not ROWSxCOLUMNS"):
        parse_size(text)
