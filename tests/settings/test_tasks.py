from __future__ import annotations

import dataclasses

import pytest

from mtljobs.settings.classes import NYU13_CLASSES
from mtljobs.settings.data import Rooms
from mtljobs.settings.tasks import Depth, Normals, Segmentation

INFO = Rooms(name="rooms").info()


def test_groups_of_segmentation_are_the_classes_of_the_data_set():
    task = Segmentation(name="segmentation")
    assert task.groups(INFO) == NYU13_CLASSES
    assert task.channels(INFO) == 13
    two = dataclasses.replace(INFO, class_names=("mug", "book"))
    assert (task.groups(two), task.channels(two)) == (("mug", "book"), 2)


@pytest.mark.parametrize(
    ("bins", "groups"),
    [
        (1, ("0.00-1.00",)),
        (4, ("0.00-0.25", "0.25-0.50", "0.50-0.75", "0.75-1.00")),
        (5, ("0.00-0.20", "0.20-0.40", "0.40-0.60", "0.60-0.80", "0.80-1.00")),
    ],
)
def test_groups_of_depth_are_equal_bins_nearest_first(bins, groups):
    assert Depth(name="depth", bins=bins).groups(INFO) == groups


@pytest.mark.parametrize("bins", [2, 63, 64])
def test_as_many_bins_as_are_allowed_have_names_of_their_own(bins):
    assert len(set(Depth(name="depth", bins=bins).groups(INFO))) == bins


def test_groups_of_normals_are_the_octants_by_the_signs_of_x_y_z():
    assert Normals(name="normals").groups(INFO) == (
        "+++", "++-", "+-+", "+--", "-++", "-+-", "--+", "---",
    )  # fmt: skip
