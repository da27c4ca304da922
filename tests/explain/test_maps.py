"""What every map goes through, by hand; where all bins of depth have one map between them."""

from __future__ import annotations

import pytest
import torch

from mtljobs.explain.grad_cam import GradCAM
from mtljobs.explain.maps import are_one_map, divide_by_max, upsample
from mtljobs.models.segnet_mtan import SegNetMTAN

ONE = torch.tensor([[1.0, 4.0]])
OTHER = torch.tensor([[1.0, 2.0]])
NOTHING = torch.zeros(1, 2)


def test_upsampling_takes_pixels_as_areas():
    # Centres of the four new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the two old ones.
    cam = torch.tensor([[[[0.0, 1.0]]]])
    assert upsample(cam, (1, 4)).tolist() == [[[[0.0, 0.25, 0.75, 1.0]]]]


def test_a_map_at_the_images_resolution_is_not_touched():
    maps = torch.rand(2, 3, 33, 49)
    assert torch.equal(upsample(maps, (33, 49)), maps)


def test_the_maximum_becomes_one_and_an_empty_map_stays_empty():
    maps = torch.tensor([[[[1.0, 4.0]], [[0.0, 0.0]], [[torch.nan, 1.0]]]])
    scaled, peaks = divide_by_max(maps)
    assert scaled[0, 0].tolist() == [[0.25, 1.0]]
    assert scaled[0, 1].tolist() == [[0.0, 0.0]]
    assert scaled[0, 2].isnan().any()
    assert peaks[0, :2].tolist() == [4.0, 0.0]


@pytest.mark.parametrize(
    ("maps", "one"),
    [
        ((ONE, 1000 * ONE), True),
        ((ONE, 1e-6 * ONE, 3 * ONE), True),
        ((ONE, OTHER), False),  # 1/4 and 1/2 of their maxima
        ((ONE, ONE, OTHER), False),
        ((ONE, ONE + torch.tensor([[3e-4, 0.0]])), True),  # 0.75e-4 of the maximum apart
        ((ONE, ONE + torch.tensor([[5e-4, 0.0]])), False),  # 1.25e-4
        ((ONE, NOTHING, ONE), True),  # a group without pixels has no map
        ((ONE, ONE / 0), False),  # nor has one that is not finite
        ((ONE, ONE / 0, 2 * ONE), True),
        ((ONE,), False),  # less than two groups are no case
        ((ONE, NOTHING), False),
        ((NOTHING, NOTHING), False),
    ],
)
def test_groups_have_one_map_where_their_maps_differ_by_a_factor_alone(maps, one):
    assert are_one_map(torch.stack(maps)) is one


def depth_maps(layer, *, widths=None):
    """Grad-CAM of a narrow SegNet-MTAN for the depth of five bins, each a band of columns."""
    torch.manual_seed(2)  # one with which every bin has a map, even of a single channel
    network = SegNetMTAN(
        width=1 / 16, pool_ties="torch", channels={"depth": 1}, widths=widths
    ).train()
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        network(images, tasks=("depth",))  # so that batch norms have seen an image
    bins = torch.arange(64) * 5 // 64 == torch.arange(5)[:, None, None]
    return GradCAM(layer=layer).maps(
        network.eval(),
        images,
        evidence=lambda x: {
            name: (prediction * bins).sum(dim=(-2, -1))
            for name, prediction in network(x, tasks=("depth",)).items()
        },
    )["depth"]


def test_bins_of_depth_have_one_map_where_the_network_is_linear_behind_it():
    for maps in depth_maps("branches.depth.head.hidden"):
        assert maps.flatten(1).any(dim=1).sum() >= 2
        assert are_one_map(maps)


def test_bins_of_depth_have_their_own_maps_at_the_last_shared_layer():
    for maps in depth_maps("conv_block_dec.0"):
        assert maps.flatten(1).any(dim=1).sum() >= 2
        assert not are_one_map(maps)


def test_bins_of_depth_have_one_map_at_a_layer_that_was_cut_to_one_channel():
    widths = SegNetMTAN(
        width=1 / 16, pool_ties="torch", channels={"depth": 1}, widths=None
    ).widths()
    for maps in depth_maps("conv_block_dec.0", widths=widths | {"stage0": 1}):
        assert are_one_map(maps)
