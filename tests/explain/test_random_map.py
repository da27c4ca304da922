"""The control is a function of image, task, group and seed, and of nothing else."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mtljobs.explain.random_map import RandomMap, noise

LAYER = "trunk.2"


@pytest.fixture
def draw(net, evidence_of):
    """Maps of images, of the small network unless another one is given."""

    def maps(images, *, seed=0, network=net):
        method = RandomMap(layer=LAYER, seed=seed)
        return method.maps(network, images, evidence=evidence_of(network))

    return maps


def same(some, others):
    return all(torch.equal(some[name], others[name]) for name in some)


def test_maps_do_not_depend_on_the_weights(draw, net, images):
    other = copy.deepcopy(net)
    for parameter in other.parameters():
        parameter.data.neg_()
    assert same(draw(images), draw(images, network=other))


def test_maps_do_not_depend_on_batch_and_order(draw, images):
    together, turned = draw(images), draw(images.flip(0))
    for index in range(3):
        alone = draw(images[index : index + 1])
        assert same(alone, {name: maps[index][None] for name, maps in together.items()})
    assert same(together, {name: maps.flip(0) for name, maps in turned.items()})


def test_image_task_group_and_seed_each_make_another_map(draw, images):
    maps = draw(images)
    every = torch.cat([x.flatten(0, 1) for x in (*maps.values(), *draw(images, seed=1).values())])
    assert len(every) == 2 * 3 * (4 + 3 + 8)
    assert len(torch.unique(every.flatten(1), dim=0)) == len(every)


def test_numbers_are_uniform_and_fill_a_layer(draw, images):
    depth = draw(images)["depth"]
    assert (depth.shape, depth.dtype) == ((3, 3, 16, 16), torch.float32)
    shares = torch.histc(depth, bins=4, min=0, max=1) / depth.numel()
    assert shares.sum() == 1
    assert (shares - 0.25).abs().max() < 0.04  # 2304 numbers: a deviation of 0.009


def test_bits_are_those_of_every_machine():
    # Of PCG64 behind SHA-256 of "[0, \"depth\"]"; another release of numpy that draws others would
    # change results, and has to be seen.
    assert noise(0, "depth", size=(1, 2)).tolist() == [[15743780 / 2**24, 5422637 / 2**24]]


def test_numbers_do_not_touch_the_global_generators(draw, images):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    draw(images)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
