"""DiSparse on two tasks with weights that are scored by hand, and on a small network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mtljobs.errors import MtljobsError
from mtljobs.pruning.disparse import bisect_keep_ratio, ranked
from mtljobs.pruning.masks import all_convolutions, masked_convolutions
from mtljobs.pruning.task_scores import (
    agreement,
    gradient_sizes,
    overlap,
    places,
    scoring,
    task_gradients,
)
from mtljobs.settings import build
from mtljobs.settings.pruning import DiSparse

TASKS = ("depth", "normals")


class TwoTasks(nn.Module):
    """One image of four 1 x 1 channels; each convolution weighs them, so gradients are by hand.

    prediction of a task = own (2 weights) of shared (4 weights as 2 x 2).
    """

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TASKS
        self.shared = nn.Conv2d(2, 2, 1, bias=False)
        self.branches = nn.ModuleDict({task: nn.Conv2d(2, 1, 1, bias=False) for task in TASKS})
        self.shared.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(2, 2, 1, 1)
        self.branches["depth"].weight.data = torch.tensor([[1.0, 0.1]]).view(1, 2, 1, 1)
        self.branches["normals"].weight.data = torch.tensor([[0.1, -2.0]]).view(1, 2, 1, 1)

    def forward(self, images: torch.Tensor, tasks: tuple[str, ...]) -> dict[str, torch.Tensor]:
        features = self.shared(images)
        return {task: self.branches[task](features) for task in tasks}


def batch(*values: float) -> dict[str, torch.Tensor]:
    return {"image": torch.tensor(values, dtype=torch.float32).view(1, 2, 1, 1)}


def losses(model: nn.Module, images: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A task's loss is its prediction: d / d(shared[o, i]) = own[o] x[i], d / d(own) = shared x."""
    return {task: value.sum() for task, value in model(images["image"], model.tasks).items()}


# With x = (1, 1) and x = (1, -1), |g| of shared adds up to 2 |own[o]|; |g| of own[o] to
# |a + b| + |a - b| for the row (a, b) = (1, 2) and (3, 4): 4 and 8.
BATCHES = [batch(1, 1), batch(1, -1)]
SENSITIVITIES = {
    "depth": {"shared": [2.0, 4.0, 0.6, 0.8], "branches.depth": [4.0, 0.8]},
    "normals": {"shared": [0.2, 0.4, 12.0, 16.0], "branches.normals": [0.4, 16.0]},
}


def cut(model: nn.Module, *, sparsity: float, **settings: object) -> nn.Module:
    pruner = build(DiSparse(name="disparse", **settings))
    pruner.cut(model, sparsity=sparsity, groups=(), batches=iter(BATCHES), losses=losses)
    return model


def weights(model: nn.Module) -> dict[str, list[float]]:
    return {
        name: convolution.weight.flatten().tolist()
        for name, convolution in all_convolutions(model).items()
    }


def gone(model: nn.Module) -> float:
    masks = [conv.get_buffer("weight_mask") for conv in masked_convolutions(model).values()]
    return sum(int((~mask).sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def test_each_task_scores_what_it_uses_by_its_own_loss_summed_over_batches() -> None:
    model = TwoTasks()
    sizes = gradient_sizes(model, BATCHES, losses)
    for task, layers in SENSITIVITIES.items():
        assert sizes[task].keys() == layers.keys()
        for name, expected in layers.items():
            weight = model.get_submodule(name).weight.detach().abs()
            found = (weight * sizes[task][name]).flatten()
            torch.testing.assert_close(found, torch.tensor(expected))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_batches_are_not_averaged_before_their_size_is_taken() -> None:
    # x = (1, 1) and (-1, -1) have opposite gradients.
    sizes = gradient_sizes(TwoTasks(), [batch(1, 1), batch(-1, -1)], losses)
    assert sizes["depth"]["branches.depth"].flatten().tolist() == [6.0, 14.0]


def test_shared_weight_goes_only_if_every_task_lets_it_go() -> None:
    # Half of the six weights that each task uses stay. depth: 4 (own 0), 4 (shared 1), 2 (shared
    # 0), of the equal 4 the shared one leads. normals: 16 (shared 3), 16 (own 1), 12 (shared 2).
    model = cut(TwoTasks(), sparsity=0.5, keep_ratio=0.5)
    torch.testing.assert_close(model.shared.weight.flatten(), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert weights(model)["branches.depth"] == [1.0, 0.0]
    assert weights(model)["branches.normals"] == [0.0, -2.0]
    # The shared layer is whole, though either task would have kept half: 2 of 8 weights are gone.
    assert gone(model) == 0.25
    assert model.shared.get_buffer("mask_agreement").item() == 0.0


def test_keep_ratio_is_bisected_until_the_sparsity_asked_for_is_there() -> None:
    # 2 of 6 stay per task, disjoint: shared 1 and own 0 of depth, shared 3 and own 1 of normals.
    model = cut(TwoTasks(), sparsity=0.5)
    assert weights(model)["shared"] == [0.0, 2.0, 0.0, 4.0]
    assert weights(model)["branches.depth"] == [1.0, 0.0]
    assert weights(model)["branches.normals"] == [0.0, -2.0]
    assert gone(model) == 0.5


def test_nominal_keep_ratio_misses_the_sparsity_as_the_released_code_does() -> None:
    assert gone(cut(TwoTasks(), sparsity=0.5, keep_ratio="nominal")) == 0.25


def test_nominal_keep_ratio_loses_no_weight_to_rounding() -> None:
    model = nn.Module()
    model.tasks = ("depth",)
    model.shared = nn.Conv2d(10, 1, 1)
    cut(model, sparsity=0.9, keep_ratio="nominal", score="magnitude")
    assert gone(model) == 0.9


def test_tasks_that_agree_fully_say_so() -> None:
    model = TwoTasks()
    model.branches["normals"].weight.data = model.branches["depth"].weight.data.clone()
    cut(model, sparsity=0.5)
    assert model.shared.get_buffer("mask_agreement").item() == 1.0
    assert math.isnan(model.branches["depth"].get_buffer("mask_agreement").item())


def test_partial_agreement_is_intersection_over_union() -> None:
    first, second = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 1]]).bool()
    assert agreement(*overlap([first, second])) == 2 / 4
    assert math.isnan(agreement(*overlap([first & ~first, first & ~first])))
    assert math.isnan(agreement(*overlap([first])))


def test_magnitude_needs_no_gradient_and_uses_a_threshold_of_each_task() -> None:
    # Of |w| = 1 2 3 4 | 1 .1 depth keeps 4 and 3; of 1 2 3 4 | .1 2 so does normals: 2 of 8 stay.
    pruner = build(DiSparse(name="disparse", score="magnitude"))
    model = TwoTasks()
    pruner.cut(model, sparsity=0.75, groups=(), batches=iter(()), losses=losses)
    assert weights(model) == {
        "shared": [0.0, 0.0, 3.0, 4.0],
        "branches.depth": [0.0, 0.0],
        "branches.normals": [0.0, 0.0],
    }
    assert model.shared.get_buffer("mask_agreement").item() == 1.0


def test_squared_score_weighs_large_weights_more() -> None:
    # w^2 |g|: depth 2 8 1.8 3.2 | 4 .08; normals .2 .8 36 64 | .04 32. 2 of 6 stay per task:
    # shared 1 and own 0 of depth; shared 3 and 2 of normals.
    model = cut(TwoTasks(), sparsity=0.5, score="squared", keep_ratio=2 / 6)
    assert weights(model) == {
        "shared": [0.0, 2.0, 3.0, 4.0],
        "branches.depth": [1.0, 0.0],
        "branches.normals": [0.0, 0.0],
    }


def test_scores_of_a_xavier_copy_leave_the_weights_that_stay_as_they_were() -> None:
    torch.manual_seed(3)
    model = cut(TwoTasks(), sparsity=0.5, scored_weights="xavier")
    mask = model.shared.get_buffer("weight_mask")
    assert torch.equal(model.shared.weight[mask], TwoTasks().shared.weight[mask])
    assert gone(model) == 0.5


def test_no_more_batches_are_drawn_than_the_settings_say() -> None:
    source = iter(BATCHES)
    pruner = build(DiSparse(name="disparse", batches=1))
    pruner.cut(TwoTasks(), sparsity=0.5, groups=(), batches=source, losses=losses)
    assert next(source) is BATCHES[1]


def test_score_that_is_not_finite_is_refused_by_task_and_layer() -> None:
    model = TwoTasks()
    model.branches["normals"].weight.data.fill_(float("nan"))
    with pytest.raises(MtljobsError, match=r"normals makes of the weights of shared.*in 2 of 2"):
        cut(model, sparsity=0.5)


def test_exactly_k_scores_have_one_of_the_first_k_places_even_where_they_tie() -> None:
    tied = places([torch.zeros(3), torch.zeros(2, 2)])
    assert torch.cat([place.flatten() for place in tied]).tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_bisected_ratio_is_exact_to_the_number_of_tasks(sparsity: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.rand(3000, generator=generator)
    scores = {
        task: {
            "shared": shared + torch.rand(3000, generator=generator),
            f"branches.{task}": torch.rand(5000, generator=generator),
        }
        for task in TASKS
    }
    shares = ranked(scores)
    ratio = bisect_keep_ratio(shares, sparsity=sparsity)
    kept = sum(int((of_tasks <= ratio).any(dim=0).sum()) for of_tasks in shares.values())
    assert abs(kept - round((1 - sparsity) * 13_000)) <= len(TASKS)


class TestScoring:
    def test_network_is_as_before_though_it_computes_as_in_training(self) -> None:
        model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5)).eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        images = torch.rand(4, 2, 3, 3, generator=torch.manual_seed(0))
        with scoring(model, dropout=False):
            normed = model(images).detach()
        assert normed.mean(dim=(0, 2, 3)).abs().max() < 1e-6  # of the batch, none dropped
        assert (normed != 0).all()
        assert not any(module.training for module in model.modules())
        assert model[1].track_running_stats
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    def test_dropout_is_drawn_where_asked_for(self) -> None:
        model = nn.Sequential(nn.Dropout(0.5)).eval()
        with scoring(model, dropout=True):
            assert (model(torch.ones(1000)) == 0).any()


def test_masked_weights_have_gradients_too() -> None:
    model = cut(TwoTasks(), sparsity=0.5)
    gradients = dict(task_gradients(model, losses(model, BATCHES[0])))
    assert gradients["depth"]["shared"].flatten().tolist() == [1.0, 1.0, 0.0, 0.0]
    assert gradients["normals"]["shared"].flatten().tolist() == [0.0, 0.0, -2.0, -2.0]


def test_small_network_ends_at_the_sparsity_and_runs(lived_in, images) -> None:
    model = lived_in("segmentation", "depth")

    def of(network: nn.Module, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        predictions = network(given["image"], network.tasks)
        return {task: value.square().mean() for task, value in predictions.items()}

    pruner = build(DiSparse(name="disparse"))
    pruner.cut(model, sparsity=0.9, groups=(), batches=iter([{"image": images}]), losses=of)
    assert gone(model) == pytest.approx(0.9, abs=1e-4)
    assert all(value.isfinite().all() for value in model(images, model.tasks).values())
    agreed = {
        name: conv.get_buffer("mask_agreement").isnan().item()
        for name, conv in masked_convolutions(model).items()
    }
    assert {name for name, unknown in agreed.items() if unknown} >= {
        name for name in agreed if name.startswith("branches.")
    }
    assert not agreed["conv_block_dec.0.0.conv"]
