"""What every saliency method promises on every network: maps of its size, and no trace left."""

from __future__ import annotations

import pytest

from mtljobs.settings import build

torch = pytest.importorskip("torch", reason="networks are explained")

TASKS = ("segmentation", "depth")
SIZE = (32, 64)


@pytest.fixture
def explained(saliency_choice, model_choice, smallest, small):
    """A method, the size that its settings promise, a network, and evidence of four groups a task.

    A group is a channel of the prediction, or its negative: of the two one has a map.
    """
    torch.manual_seed(0)
    model, network = small(model_choice, TASKS)
    saliency = smallest(saliency_choice).resolved(model)
    calls = []

    def evidence(images):
        calls.append(images.shape)
        predictions = network(images, TASKS)
        return {
            task: torch.cat([prediction, -prediction], dim=1).sum(dim=(-2, -1))
            for task, prediction in predictions.items()
        }

    return build(saliency), saliency.map_size(model, SIZE), network, evidence, calls


@pytest.fixture
def maps_of(explained):
    method, _, network, evidence, _ = explained
    return lambda images: method.maps(network, images, evidence=evidence)


@pytest.fixture
def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_maps_are_as_large_as_the_settings_say_and_never_negative(explained, maps_of, images):
    _, size, _, _, calls = explained
    maps = maps_of(images)
    assert tuple(maps) == TASKS
    for found in maps.values():
        assert tuple(found.shape) == (2, 4, *size)
        assert found.min() >= 0
        assert found.any()
        assert not found.requires_grad
    assert calls == [images.shape]


def test_map_of_an_image_does_not_depend_on_the_others_in_its_batch(maps_of, images):
    others = images.clone()
    others[0] = torch.nan
    before, after = maps_of(images), maps_of(others)
    assert all(torch.equal(before[task][1], after[task][1]) for task in TASKS)
    assert all(before[task][1].isfinite().all() for task in TASKS)


def test_second_look_sees_the_same(maps_of, images):
    first, second = maps_of(images), maps_of(images)
    assert all(torch.equal(first[task], second[task]) for task in TASKS)


def test_explaining_works_where_gradients_are_off(explained, maps_of, images):
    on = maps_of(images)
    explained[2].requires_grad_(False)
    with torch.no_grad():
        off = maps_of(images)
    assert all(torch.equal(on[task], off[task]) for task in TASKS)


def test_explaining_leaves_the_network_as_it_was(explained, maps_of, images):
    network = explained[2]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps_of(images)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_network_in_training_mode_is_refused(explained, maps_of, images):
    next(m for m in explained[2].modules() if isinstance(m, torch.nn.BatchNorm2d)).train()
    with pytest.raises(ValueError, match=r"received training mode. Call model.eval\(\)"):
        maps_of(images)
