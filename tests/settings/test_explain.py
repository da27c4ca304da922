from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.errors import GridError
from mtljobs.settings import canonical
from mtljobs.settings.base import restore
from mtljobs.settings.explain import (
    SLIC,
    GradCAM,
    InputGradient,
    QuantusIROF,
    RandomMap,
    SaliencyChoice,
)
from mtljobs.settings.explanation import Explain
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN

SEGNET, DEEPLAB = SegNetMTAN(name="segnet_mtan"), DeepLabResNet(name="deeplab_resnet")
OF_A_LAYER = [GradCAM(name="grad_cam"), RandomMap(name="random", seed=7)]


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


@pytest.mark.parametrize("saliency", OF_A_LAYER, ids=lambda saliency: saliency.name)
def test_layer_is_named_as_in_the_network_and_nothing_else_changes(saliency):
    resolved = saliency.resolved(SEGNET)
    assert resolved == type(saliency)(**{**vars(saliency), "layer": "conv_block_dec.0"})
    assert resolved.resolved(SEGNET) == resolved
    assert saliency.resolved(DEEPLAB).layer == "backbone.layer4.2.conv2"


@pytest.mark.parametrize("saliency", OF_A_LAYER, ids=lambda saliency: saliency.name)
def test_maps_of_a_layer_are_as_large_as_the_layer(saliency):
    assert saliency.map_size(SEGNET, (64, 96)) == (64, 96)
    assert saliency.map_size(DEEPLAB, (321, 321)) == (41, 41)
    with pytest.raises(GridError, match="segnet_mtan has no layer 'backbone"):
        saliency.resolved(DEEPLAB).map_size(SEGNET, (64, 96))


def test_maps_of_the_image_are_as_large_as_the_image():
    saliency = InputGradient(name="input_gradient")
    assert saliency.resolved(DEEPLAB) == saliency
    assert saliency.map_size(DEEPLAB, (321, 321)) == (321, 321)


@pytest.mark.parametrize(
    "saliency", [*OF_A_LAYER, InputGradient(name="input_gradient", reduce="sum")], ids=str
)
def test_plan_gives_back_the_method_that_it_was_made_with(saliency):
    assert restore(SaliencyChoice, canonical(saliency)) == saliency


@pytest.mark.parametrize(
    "table",
    [
        {"name": "input_gradient", "layer": "last_shared"},
        {"name": "grad_cam", "seed": 1},
        {"name": "random", "seed": -1},
        {"name": "saliency"},
    ],
)
def test_key_of_another_method_is_refused(table):
    with pytest.raises(ValidationError):
        TypeAdapter(SaliencyChoice).validate_python(table)


def test_quantus_is_planned_with_the_superpixels_that_it_makes():
    faithfulness = QuantusIROF(name="irof_quantus")
    assert Explain(images=1, faithfulness=faithfulness).superpixels.n_segments == 100
    for other in ({"n_segments": 40}, {"compactness": 1.0}):
        with pytest.raises(ValidationError, match="Quantus makes 100 of compactness 10"):
            Explain(images=1, superpixels=SLIC(name="slic", **other), faithfulness=faithfulness)


@pytest.mark.parametrize(
    ("maps", "kept"), [("native", 30), ("half", 30), ("subset", 24), ("scores", 0)]
)
def test_maps_are_kept_of_as_many_images_as_the_policy_says(maps, kept):
    assert Explain(images=30, maps=maps).mapped_images() == kept


def test_a_subset_is_never_larger_than_all_images():
    assert Explain(images=5, maps="subset").mapped_images() == 5


def test_images_to_lay_maps_over_have_maps():
    with pytest.raises(ValidationError, match="raise map_images or lower previews"):
        Explain(images=30, maps="subset", map_images=2, previews=4)
