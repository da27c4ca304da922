"""What methods that take gradients share: who asks for them, and what each pass costs."""

from __future__ import annotations

import pytest
import torch

from mtljobs.errors import GridError
from mtljobs.explain.grad_cam import GradCAM
from mtljobs.explain.gradients import maps_from_gradients, without_parameter_gradients
from mtljobs.explain.input_gradient import InputGradient

METHODS = [GradCAM(layer="trunk.2"), InputGradient(reduce="max")]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_a_group_costs_one_backward_pass_of_its_own_branch(method, net, images, evidence):
    forwards, backwards = [], dict.fromkeys(net.heads, 0)

    def count(name):
        def hook(*_):
            backwards[name] += 1

        return hook

    net.trunk.register_forward_hook(lambda *_: forwards.append(True))
    for name, head in net.heads.items():
        head.register_full_backward_hook(count(name))
    method.maps(net, images, evidence=evidence)
    assert backwards == {"segmentation": 4, "depth": 3, "normals": 8}
    assert len(forwards) == 1


def test_parameters_ask_for_gradients_afterwards_as_they_did_before(net):
    net.trunk[0].weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in net.parameters()]
    with torch.no_grad(), without_parameter_gradients(net):
        assert torch.is_grad_enabled()
        assert not any(parameter.requires_grad for parameter in net.parameters())
    assert [parameter.requires_grad for parameter in net.parameters()] == before
    assert sorted(set(before)) == [False, True]


def test_parameters_ask_for_gradients_after_a_failure(net):
    with pytest.raises(RuntimeError, match="out of memory"), without_parameter_gradients(net):
        raise RuntimeError("out of memory")
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("recorded", [False, True])
def test_evidence_that_does_not_depend_on_the_origin_is_refused(recorded):
    origin, other = torch.rand(2, 1, 1, 1, 2).requires_grad_(recorded)
    scalars = {"depth": 2 * other.sum(dim=(2, 3))}
    with pytest.raises(GridError, match="The image has no influence on the task 'depth'"):
        maps_from_gradients(scalars, origin, lambda g: g[:, 0], called="The image")
