"""Grad-CAM by hand on a linear network, against captum on a small one, and its refusals."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from mtljobs.errors import GridError
from mtljobs.explain.grad_cam import GradCAM, divide_by_max, grad_cam, upsample

TRUNK = "trunk.2"


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 16)


@pytest.fixture
def evidence(net, tasks):
    """Evidence for all groups of all tasks, over the pixels that the network itself predicts."""

    def compute(images):
        predictions = net(images, tasks=tuple(tasks))
        return {
            name: task.evidence(predictions[name], task.group_masks(predictions[name]))
            for name, task in tasks.items()
        }

    return compute


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


def test_the_map_of_an_image_does_not_depend_on_the_others(net, images, evidence):
    others = torch.rand(3, 3, 16, 16)
    others[1] = images[1]
    method = GradCAM(layer=TRUNK)
    before = method.maps(net, images, evidence=evidence)
    after = method.maps(net, others, evidence=evidence)
    assert all(torch.equal(before[name][1], after[name][1]) for name in before)
    assert before["segmentation"][1].any()


def test_a_group_costs_one_backward_pass_of_its_own_branch(net, images, evidence):
    calls = dict.fromkeys(net.heads, 0)

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    for name, head in net.heads.items():
        head.register_full_backward_hook(count(name))
    before_layer = []
    net.trunk[1].register_full_backward_hook(lambda *_: before_layer.append(True))
    GradCAM(layer=TRUNK).maps(net, images, evidence=evidence)
    assert calls == {"segmentation": 4, "depth": 3, "normals": 8}
    assert not before_layer


def test_explaining_leaves_no_gradients_and_no_hooks(net, images, evidence):
    GradCAM(layer=TRUNK).maps(net, images, evidence=evidence)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.trunk[2]._forward_hooks


def test_hooks_are_removed_after_a_failure(net, images):
    def fail(images):
        net(images, tasks=("depth",))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        GradCAM(layer=TRUNK).maps(net, images, evidence=fail)
    assert not net.trunk[2]._forward_hooks


def test_explaining_works_where_gradients_are_off(net, images, evidence):
    net.requires_grad_(False)
    with torch.no_grad():
        maps = GradCAM(layer=TRUNK).maps(net, images, evidence=evidence)
    assert maps["depth"].any()


def test_training_mode_is_refused(net, images, evidence):
    net.trunk[1].train()
    with pytest.raises(ValueError, match="evaluation mode"):
        GradCAM(layer=TRUNK).maps(net, images, evidence=evidence)


def test_an_unknown_layer_is_answered_with_the_nearest_ones(net, images, evidence):
    with pytest.raises(GridError, match=r"'trunk.22' is no module .* trunk\.2"):
        GradCAM(layer="trunk.22").maps(net, images, evidence=evidence)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_layer_of_another_tasks_branch_is_refused(net, images, evidence, frozen):
    net.requires_grad_(not frozen)
    with pytest.raises(GridError, match="no influence on the task 'segmentation'"):
        GradCAM(layer="heads.depth.0").maps(net, images, evidence=evidence)


def test_a_layer_that_runs_twice_is_refused():
    layer = nn.Conv2d(1, 1, 1)
    net = nn.Sequential(layer, layer).eval()
    with pytest.raises(GridError, match="ran 2 times"):
        GradCAM(layer="0").maps(
            net, torch.rand(1, 1, 2, 2), evidence=lambda x: {"depth": net(x).sum(dim=(2, 3))}
        )


def test_a_layer_without_positions_is_refused():
    net = nn.Sequential(nn.MaxPool2d(2, return_indices=True)).eval()
    with pytest.raises(GridError, match="puts out a tuple"):
        GradCAM(layer="0").maps(net, torch.rand(1, 1, 2, 2), evidence=lambda x: {"depth": net(x)})


def test_a_gradient_that_is_not_finite_spoils_the_map_of_its_image_alone():
    activations = torch.ones(2, 1, 1, 2)
    gradients = torch.ones(2, 1, 1, 2)
    gradients[1, 0, 0, 0] = torch.nan
    maps = grad_cam(activations, gradients)
    assert maps[0].tolist() == [[1.0, 1.0]]
    assert maps[1].isnan().all()


def test_upsampling_takes_pixels_as_areas():
    # Centres of the four new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the two old ones.
    cam = torch.tensor([[[[0.0, 1.0]]]])
    assert upsample(cam, (1, 4)).tolist() == [[[[0.0, 0.25, 0.75, 1.0]]]]


def test_the_maximum_becomes_one_and_an_empty_map_stays_empty():
    maps = torch.tensor([[[[1.0, 4.0]], [[0.0, 0.0]], [[torch.nan, 1.0]]]])
    scaled, peaks = divide_by_max(maps)
    assert scaled[0, 0].tolist() == [[0.25, 1.0]]
    assert scaled[0, 1].tolist() == [[0.0, 0.0]]
    assert scaled[0, 2].isnan().any()
    assert peaks[0, :2].tolist() == [4.0, 0.0]
