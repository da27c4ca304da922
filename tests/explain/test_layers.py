"""The explained layer is found by its name, or the answer says what is wrong with it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.errors import GridError
from mtljobs.explain.layers import run_from_layer


def test_output_of_the_layer_comes_with_what_was_computed_from_it():
    net = nn.Sequential(nn.AvgPool2d(2), nn.ReLU())
    image = torch.tensor([[[[1.0, -3.0], [-1.0, -1.0]]]])
    computed, output = run_from_layer(net, "0", lambda: net(image).sum())
    assert (computed.item(), output.tolist()) == (0.0, [[[[-1.0]]]])
    assert output.is_leaf
    assert computed.requires_grad


def test_hooks_are_removed_after_a_failure(net, images):
    def fail():
        net(images, tasks=("depth",))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_from_layer(net, "trunk.2", fail)
    assert not net.trunk[2]._forward_hooks


def test_an_unknown_layer_is_answered_with_the_nearest_ones(net):
    with pytest.raises(GridError, match=r"'trunk.22' is no module .* trunk\.2"):
        run_from_layer(net, "trunk.22", lambda: None)


def test_a_layer_that_runs_twice_is_refused():
    layer = nn.ReLU()
    net = nn.Sequential(layer, layer)
    with pytest.raises(GridError, match="'0' ran 2 times"):
        run_from_layer(net, "0", lambda: net(torch.rand(1, 1, 2, 2)))


def test_a_layer_that_does_not_run_is_refused(net, images):
    with pytest.raises(GridError, match=r"'heads.normals' ran 0 times"):
        run_from_layer(net, "heads.normals", lambda: net(images, tasks=("depth",)))


def test_a_layer_without_positions_is_refused():
    net = nn.Sequential(nn.MaxPool2d(2, return_indices=True), nn.Flatten())
    with pytest.raises(GridError, match="'0' puts out a tuple"):
        run_from_layer(net, "0", lambda: net(torch.rand(1, 1, 2, 2)))
    with pytest.raises(GridError, match=r"'1' puts out a tensor of shape \(1, 4\)"):
        run_from_layer(net, "1", lambda: net[1](torch.rand(1, 1, 2, 2)))
