from __future__ import annotations

import pytest

from mtljobs.data.validation import BLOCK, cut_validation
from mtljobs.errors import DataError

IMAGES = tuple(f"{number:04d}" for number in range(100))
SCENES = {image: f"scene {int(image) // 4}" for image in IMAGES}


def test_whole_scenes_are_taken_until_the_fraction_is_reached():
    chosen = cut_validation(IMAGES, SCENES, fraction=0.2)
    assert len(chosen) == 20
    assert chosen == tuple(sorted(chosen))
    assert {SCENES[image] for image in chosen}.isdisjoint(
        SCENES[image] for image in IMAGES if image not in chosen
    )


def test_order_of_scenes_is_not_that_of_the_images():
    assert cut_validation(IMAGES, SCENES, fraction=0.2) != IMAGES[:20]


def test_scene_that_does_not_fit_is_passed_over():
    scenes = {image: "big" if int(image) < 95 else "small" for image in IMAGES}
    assert cut_validation(IMAGES, scenes, fraction=0.1) == IMAGES[95:]


def test_images_without_scenes_are_cut_in_blocks_of_neighbours():
    blocks = {image: int(image) // BLOCK for image in IMAGES}
    chosen = cut_validation(IMAGES, {}, fraction=0.2)
    assert BLOCK <= len(chosen) <= 20
    cut = {blocks[image] for image in chosen}
    assert chosen == tuple(image for image in IMAGES if blocks[image] in cut)


def test_something_is_left_to_train_on():
    assert len(cut_validation(IMAGES[:2], {}, fraction=0.0)) == 0
    scenes = {image: image for image in IMAGES}
    assert len(cut_validation(IMAGES[:4], scenes, fraction=0.9)) == 3


def test_nothing_is_cut_where_nothing_was_asked_for():
    assert cut_validation(IMAGES, SCENES, fraction=0.0) == ()


def test_scenes_that_are_all_too_big_say_what_would_do():
    with pytest.raises(
        DataError, match=r"is 3 of 100 .* smallest has 4: ask for --validation 0\.045"
    ):
        cut_validation(IMAGES, SCENES, fraction=0.03)
    assert len(cut_validation(IMAGES, SCENES, fraction=0.045)) == 4
