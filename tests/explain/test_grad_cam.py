"""Grad-CAM by hand on a linear network, against captum on several, and how far it goes back."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from mtljobs.errors import GridError
from mtljobs.explain.grad_cam import GradCAM, grad_cam
from mtljobs.models.segnet_mtan import SegNetMTAN

TRUNK = "trunk.2"
LAST_SHARED = {"SegNetMTAN": "conv_block_dec.0", "DeepLabResNet": "backbone.layer4.2.conv2"}


def nodes_behind(scalars):
    """How often each kind of node is reached on the way back from a task's evidence."""
    seen, waiting = set(), [scalars.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [behind for behind, _ in node.next_functions]
    return Counter(node.name() for node in seen)


def test_map_of_a_linear_network_is_worked_out_by_hand(tasks):
    layer = nn.Conv2d(1, 2, 1, bias=False)
    head = nn.Conv2d(2, 1, 1, bias=False)
    layer.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    head.weight.data = torch.tensor([2.0, 1.0]).reshape(1, 2, 1, 1)
    net = nn.Sequential(layer, head).eval()
    left = torch.tensor([[[[True, False]]]])
    maps = GradCAM(layer="0").maps(
        net,
        torch.tensor([[[[1.0, -3.0]]]]),
        evidence=lambda images: {"depth": tasks["depth"].evidence(net(images), left)},
    )
    # Activations (1, -3) and (-1, 3). Gradients (2, 0) and (1, 0), on average 1 and 1/2: the
    # weighted sum is (1 - 1/2, -3 + 3/2).
    assert maps["depth"].tolist() == [[[[0.5, 0.0]]]]


def test_every_group_of_every_task_equals_captum(net, tasks, images, evidence):
    maps = GradCAM(layer=TRUNK).maps(net, images, evidence=evidence)
    for name, found in maps.items():
        reference = LayerGradCam(lambda x, name=name: evidence(x)[name], net.trunk[2])
        for group in range(found.shape[1]):
            expected = reference.attribute(images, target=group, relu_attributions=True)
            torch.testing.assert_close(found[:, group], expected[:, 0], rtol=0, atol=1e-6)
    assert {name: found.shape[1] for name, found in maps.items()} == {
        "segmentation": 4, "depth": 3, "normals": 8,
    }  # fmt: skip


def test_networks_of_the_study_equal_captum(study, evidence_of):
    network, images = study
    layer, evidence = LAST_SHARED[type(network).__name__], evidence_of(network)
    maps = GradCAM(layer=layer).maps(network, images, evidence=evidence)
    for name, found in maps.items():
        reference = LayerGradCam(
            lambda x, name=name: evidence(x)[name], network.get_submodule(layer)
        )
        for group in range(found.shape[1]):
            expected = reference.attribute(images, target=group, relu_attributions=True)[:, 0]
            accuracy = 1e-6 * expected.max().clamp(min=1e-9).item()  # their maps may be tiny
            torch.testing.assert_close(found[:, group], expected, rtol=0, atol=accuracy)
    assert all(found.any() for found in maps.values())


def test_a_group_without_pixels_has_a_map_of_zeros(study, evidence_of, tasks):
    network, images = study
    with torch.no_grad():
        predictions = network(images, tasks=tuple(tasks))
    layer = LAST_SHARED[type(network).__name__]
    maps = GradCAM(layer=layer).maps(network, images, evidence=evidence_of(network))
    empty = {
        name: ~task.group_masks(predictions[name]).flatten(2).any(dim=2)
        for name, task in tasks.items()
    }
    assert empty["depth"].any()
    assert empty["normals"].any()
    for name, found in maps.items():
        assert found.isfinite().all()
        assert not found[empty[name]].any()


def test_nothing_is_recorded_before_the_layer_and_beside_it(tasks, evidence_of):
    # Parameters ask for gradients, as anybody's do.
    channels = {"segmentation": 4, "depth": 1, "normals": 3}
    network = SegNetMTAN(width=1 / 16, pool_ties="torch", channels=channels, widths=None).eval()
    recorded, before, scalars = [], [], {}
    network.get_submodule("conv_block_dec.0").register_forward_hook(
        lambda *_: before.extend(recorded)
    )

    def keep(images):
        scalars.update(evidence_of(network)(images))
        return scalars

    with torch.autograd.graph.saved_tensors_hooks(lambda x: recorded.append(x) or x, lambda x: x):
        GradCAM(layer="conv_block_dec.0").maps(network, torch.rand(1, 3, 32, 32), evidence=keep)
    assert recorded
    assert before == []
    nodes = nodes_behind(scalars["depth"])
    # The head's two convolutions, the gate's and the mask's products, and the layer itself: none
    # of the attention on the encoder, which runs later but does not depend on the layer.
    assert (nodes["ConvolutionBackward0"], nodes["MulBackward0"]) == (2, 2)
    assert nodes["torch::autograd::AccumulateGrad"] == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_a_layer_of_another_tasks_branch_is_refused(net, images, evidence, frozen):
    net.requires_grad_(not frozen)
    with pytest.raises(GridError, match="no influence on the task 'segmentation'"):
        GradCAM(layer="heads.depth.0").maps(net, images, evidence=evidence)


def test_a_gradient_that_is_not_finite_spoils_the_map_of_its_image_alone():
    activations = torch.ones(2, 1, 1, 2)
    gradients = torch.ones(2, 1, 1, 2)
    gradients[1, 0, 0, 0] = torch.nan
    maps = grad_cam(activations, gradients)
    assert maps[0].tolist() == [[1.0, 1.0]]
    assert maps[1].isnan().all()
