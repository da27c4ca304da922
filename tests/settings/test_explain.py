from __future__ import annotations

import pytest
from pydantic import ValidationError

from mtljobs.settings.explain import SLIC, Explain, QuantusIROF


@pytest.mark.parametrize(
    ("images", "block"),
    [
        (1, 1),
        (16, 16),
        (61, 61),
        (64, 64),
        (65, 13),  # 5 * 13
        (67, 64),  # a prime: blocks of one image would be 67 shards
        (100, 50),
        (106, 53),  # 2 * 53
        (128, 64),
        (146, 64),  # 2 * 73
        (500, 50),
        (654, 64),  # 2 * 3 * 109: the largest divisor, 6, would make 109 shards
    ],
)
def test_images_are_split_into_even_blocks_where_these_are_not_tiny(images, block):
    assert Explain(images=images).block_size() == block


@pytest.mark.parametrize(("block", "size"), [(1, 1), (3, 3), (10, 10), (11, 10), (1000, 10)])
def test_block_that_is_asked_for_is_not_larger_than_all_images(block, size):
    assert Explain(images=10, block=block).block_size() == size


@pytest.mark.parametrize(
    ("asked", "room"),
    [
        (2, 8),  # 3
        (5, 8),  # 7.5
        (16, 24),  # 24
        (17, 32),  # 25.5
        (100, 152),  # 150
        (20_000, 30_000),
    ],
)
def test_room_is_half_as_much_again_as_was_asked_for_in_eights(asked, room):
    superpixels = SLIC(name="slic", n_segments=asked)
    assert Explain(images=1, superpixels=superpixels).segments_room() == room


def test_room_that_is_asked_for_is_taken():
    assert Explain(images=1, segments_max=77).segments_room() == 77


def test_widest_room_still_fits_its_type():
    # `segments` is u2, and its highest value stands for no superpixel.
    widest = SLIC(name="slic", n_segments=20_000)
    assert Explain(images=1, superpixels=widest).segments_room() < 2**16


def test_quantus_is_planned_with_the_superpixels_that_it_makes():
    faithfulness = QuantusIROF(name="irof_quantus")
    assert Explain(images=1, faithfulness=faithfulness).superpixels.n_segments == 100
    for other in ({"n_segments": 40}, {"compactness": 1.0}):
        with pytest.raises(ValidationError, match="Quantus makes 100 of compactness 10"):
            Explain(images=1, superpixels=SLIC(name="slic", **other), faithfulness=faithfulness)
