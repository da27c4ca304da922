"""Input gradients by hand on a linear network, and against captum's Saliency on several."""

from __future__ import annotations

import pytest
import torch
from captum.attr import Saliency
from torch import nn

from mtljobs.errors import GridError
from mtljobs.explain.input_gradient import InputGradient

REDUCTIONS = {"max": lambda x: x.amax(dim=1), "sum": lambda x: x.sum(dim=1)}


@pytest.mark.parametrize(("reduce", "expected"), [("max", [3.0, 0.0]), ("sum", [5.0, 0.0])])
def test_map_of_a_linear_network_is_worked_out_by_hand(reduce, expected):
    net = nn.Conv2d(2, 1, 1, bias=False).eval()
    net.weight.data = torch.tensor([-3.0, 2.0]).reshape(1, 2, 1, 1)
    left = torch.tensor([[[[1.0, 0.0]]]])
    maps = InputGradient(reduce=reduce).maps(
        net, torch.rand(1, 2, 1, 2), evidence=lambda x: {"depth": (net(x) * left).sum(dim=(2, 3))}
    )
    # The evidence is the left pixel's -3 a + 2 b.
    assert maps["depth"].tolist() == [[[expected]]]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_networks_of_the_study_equal_captum(study, evidence_of, reduce):
    network, images = study
    evidence = evidence_of(network)
    maps = InputGradient(reduce=reduce).maps(network, images, evidence=evidence)
    for name, found in maps.items():
        reference = Saliency(lambda x, name=name: evidence(x)[name])
        for group in range(found.shape[1]):
            attributed = reference.attribute(images.clone().requires_grad_(), target=group)
            expected = REDUCTIONS[reduce](attributed)
            accuracy = 1e-6 * expected.max().clamp(min=1e-9).item()  # their maps may be tiny
            torch.testing.assert_close(found[:, group], expected, rtol=0, atol=accuracy)
    assert all(found.any() for found in maps.values())


def test_images_of_the_caller_are_left_alone(net, images, evidence):
    InputGradient(reduce="max").maps(net, images, evidence=evidence)
    assert not images.requires_grad


def test_evidence_from_other_images_is_refused(net, images, evidence):
    with pytest.raises(GridError, match="The image has no influence on the task 'segmentation'"):
        InputGradient(reduce="max").maps(net, images, evidence=lambda _: evidence(images))
