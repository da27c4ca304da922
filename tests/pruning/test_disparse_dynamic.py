"""DiSparse dynamic: densities of its layers, moves of its masks, and a resume that is bit-equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from mtljobs.contracts import Step
from mtljobs.errors import StopRequested
from mtljobs.pruning.disparse_dynamic import GrowingMasks, erk_densities
from mtljobs.pruning.masks import MaskKeeper, all_convolutions
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.pruning import DiSparse
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.settings.training import Training
from mtljobs.settings.weighting import Equal
from mtljobs.training.loop import Trainer

TASKS = ("depth", "normals")


def deeplab_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Convolutions of the DeepLab with ResNet-34 and NYUv2's 40 classes and normals."""
    shapes = {"stem": (64, 3, 7, 7)}
    before = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=1):
        for block in range(blocks):
            shapes[f"layer{stage}.{block}.conv1"] = (width, before, 3, 3)
            shapes[f"layer{stage}.{block}.conv2"] = (width, width, 3, 3)
            if block == 0 and stage > 1:
                shapes[f"layer{stage}.{block}.shortcut"] = (width, before, 1, 1)
            before = width
    for task, channels in {"segmentation": 40, "normals": 3}.items():
        for dilation in (6, 12, 18, 24):
            branch = f"branches.{task}.{dilation}"
            shapes[f"{branch}.wide"] = (1024, 512, 3, 3)
            shapes[f"{branch}.mixing"] = (1024, 1024, 1, 1)
            shapes[f"{branch}.classifier"] = (channels, 1024, 1, 1)
    return shapes


class TestErk:
    SHAPES = deeplab_shapes()
    SIZES = {name: math.prod(shape) for name, shape in SHAPES.items()}  # noqa: RUF012
    DENSITIES = erk_densities(SHAPES, density=0.1, power=0.9)

    def share(self, part: str) -> float:
        layers = [name for name in self.SHAPES if part in name]
        return sum(self.DENSITIES[n] * self.SIZES[n] for n in layers) / sum(
            self.SIZES[n] for n in layers
        )

    def test_network_has_the_published_weights(self) -> None:
        assert len(self.SHAPES) == 60
        assert sum(self.SIZES.values()) == 67_581_120

    def test_layers_together_have_the_density_asked_for(self) -> None:
        assert self.share("") == pytest.approx(0.1, abs=1e-12)

    def test_the_eleven_smallest_layers_are_dense(self) -> None:
        dense = {name for name, density in self.DENSITIES.items() if density == 1.0}
        classifiers = {name for name in self.SHAPES if name.endswith("classifier")}
        shortcuts = {"layer2.0.shortcut", "layer3.0.shortcut"}
        assert dense == {"stem"} | shortcuts | classifiers

    @pytest.mark.parametrize(
        ("layer", "density"),
        [
            ("layer1.0.conv1", 0.46),
            ("layer2.0.conv1", 0.35),
            ("layer2.1.conv1", 0.24),
            ("layer3.0.conv1", 0.19),
            ("layer3.1.conv1", 0.13),
            ("layer4.0.conv1", 0.099),
            ("layer4.1.conv1", 0.069),
            ("layer4.0.shortcut", 0.72),
            ("branches.segmentation.6.wide", 0.053),
            ("branches.segmentation.6.mixing", 0.266),
        ],
    )
    def test_layer_is_as_dense_as_measured_on_the_released_code(
        self, layer: str, density: float
    ) -> None:
        digits = 3 if density < 0.1 or layer.endswith("mixing") else 2
        assert round(self.DENSITIES[layer], digits) == density

    def test_backbone_and_heads_are_as_dense_as_measured_on_the_released_code(self) -> None:
        assert self.share("branches.segmentation") == pytest.approx(0.098, abs=5e-4)
        assert self.share("branches.normals") == pytest.approx(0.092, abs=5e-4)
        backbone = [name for name in self.SHAPES if not name.startswith("branches")]
        kept = sum(self.DENSITIES[name] * self.SIZES[name] for name in backbone)
        assert kept / sum(self.SIZES[name] for name in backbone) == pytest.approx(0.110, abs=5e-4)

    def test_nothing_is_pruned_at_density_1(self) -> None:
        assert set(erk_densities(self.SHAPES, density=1.0, power=0.9).values()) == {1.0}


class TwoHeads(nn.Module):
    """Batch norm keeps statistics, dropout draws: a resume must not disturb either."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TASKS
        self.shared = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3),
            nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.branches = nn.ModuleDict({"depth": nn.Conv2d(6, 1, 1), "normals": nn.Conv2d(6, 3, 1)})

    def forward(self, images: torch.Tensor, tasks: tuple[str, ...]) -> dict[str, torch.Tensor]:
        shared = self.shared(images)
        return {task: self.branches[task](shared) for task in tasks}


def make_hook(model: nn.Module, *, iterations: int, **settings: object) -> GrowingMasks:
    choice = DiSparse(name="disparse", variant="dynamic", **{"update_every": 2, **settings})
    [hook] = build(choice).hooks("train", model, sparsity=0.6, iterations=iterations)
    return hook


def masks(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: convolution.get_buffer("weight_mask").clone()
        for name, convolution in all_convolutions(model).items()
    }


def step(model: nn.Module, iteration: int) -> Step:
    """Losses of two parts of a batch."""
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(iteration))

    def losses():
        for part in images.split(2):
            predictions = model(part, TASKS)
            yield {task: (value - 1).square().mean() for task, value in predictions.items()}

    return Step(iteration=iteration, epoch=0, learning_rate=0.01, losses=losses)


def same(state: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether all tensors are equal, a NaN to a NaN."""
    return state.keys() == other.keys() and all(
        torch.equal(value.nan_to_num(-1), other[name].nan_to_num(-1))
        for name, value in state.items()
    )


def counts(model: nn.Module) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks(model).items()}


def test_every_layer_starts_with_a_random_part_of_its_own_density() -> None:
    torch.manual_seed(0)
    model = TwoHeads()
    hook = make_hook(model, iterations=8)
    again = TwoHeads()
    make_hook(again, iterations=8)
    # 162 + 324 + 6 + 18 weights of which .4 stay: 204. By hand, with raw = (sum / product)^.9: the
    # heads are dense, and 180 go to raw(6, 3, 3, 3) = .1268 and raw(6, 6, 3, 3) = .0774.
    factor = 180 / (162 * (15 / 162) ** 0.9 + 324 * (18 / 324) ** 0.9)
    assert hook.keep == {
        "shared.0": round(162 * factor * (15 / 162) ** 0.9),
        "shared.4": round(324 * factor * (18 / 324) ** 0.9),
        "branches.depth": 6,
        "branches.normals": 18,
    }
    assert counts(model) == hook.keep
    assert not torch.equal(masks(model)["shared.4"], masks(again)["shared.4"])
    for name, mask in masks(model).items():
        assert (model.get_submodule(name).weight[~mask] == 0.0).all()


def test_update_drops_the_smallest_weights_and_grants_what_each_task_wants_to_grow() -> None:
    torch.manual_seed(0)
    model = TwoHeads()
    hook = make_hook(model, iterations=8)
    name = "shared.4"
    weight, kept = model.get_submodule(name).weight, hook.keep[name]
    before = masks(model)[name]
    values = weight.detach().clone()
    moving = int(0.5 * kept)
    growth = {
        layer: [torch.rand_like(conv.weight), torch.rand_like(conv.weight)]
        for layer, conv in all_convolutions(model).items()
        if layer.startswith("shared")
    }
    hook._update(model, growth=growth, fraction=0.5)

    after = masks(model)[name]
    by_size = values.abs().flatten().argsort(descending=True)
    stays = torch.zeros(before.numel(), dtype=torch.bool)
    stays[by_size[: kept - moving]] = True
    wanted = []
    for scores in growth[name]:
        order = scores.flatten().masked_fill(stays, -1).argsort(descending=True)[:moving]
        wanted.append(torch.zeros_like(stays).index_fill(0, order, True))
    assert torch.equal(after.flatten(), stays | wanted[0] | wanted[1])
    assert kept < after.sum() <= kept + moving  # denser by what the second task wants besides
    agreement = (wanted[0] & wanted[1]).sum() / (wanted[0] | wanted[1]).sum()
    torch.testing.assert_close(model.get_submodule(name).get_buffer("mask_agreement"), agreement)
    assert (weight[after & ~before] == 0.0).all()  # grown
    assert torch.equal(weight[before & after], values[before & after])


def test_choosing_what_grows_disturbs_nothing() -> None:
    torch.manual_seed(0)
    model = TwoHeads().train()
    hook = make_hook(model, iterations=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    growth = hook._growth(model, step(model, 0))

    assert {name: len(scores) for name, scores in growth.items()} == {
        "shared.0": 2, "shared.4": 2, "branches.depth": 1, "branches.normals": 1,
    }  # fmt: skip
    assert same(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_parts_of_a_batch_are_added_before_the_size_of_a_gradient_is_taken() -> None:
    torch.manual_seed(0)
    model = TwoHeads().train()
    hook = make_hook(model, iterations=8)
    images = torch.rand(2, 3, 8, 8)

    def losses():
        for sign in (1, -1):
            yield {task: sign * value.sum() for task, value in model(images, TASKS).items()}

    cancelled = hook._growth(model, Step(iteration=0, epoch=0, learning_rate=0.1, losses=losses))
    assert all((score == 0.0).all() for scores in cancelled.values() for score in scores)


def test_layer_has_exactly_its_density_at_the_end_and_its_mask_stays_from_then_on() -> None:
    torch.manual_seed(0)
    model = TwoHeads().train()
    hook, keeper = make_hook(model, iterations=12), MaskKeeper()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    seen = []
    for iteration in range(12):
        now = step(model, iteration)
        optimiser.zero_grad()
        sum(sum(losses.values()) for losses in now.losses()).backward()
        for each in (hook, keeper):
            each.after_backward(model, now)
        optimiser.step()
        for each in (hook, keeper):
            each.after_step(model, now)
        seen.append(masks(model))
        for name, mask in seen[-1].items():
            assert (model.get_submodule(name).weight[~mask] == 0.0).all()

    sizes = [int(found["shared.4"].sum()) for found in seen]
    assert hook.end == 9  # 75 % of 12
    assert sizes[0] > hook.keep["shared.4"]  # the union of what both tasks want
    assert torch.equal(seen[0]["shared.4"], seen[1]["shared.4"])  # moved every second step
    assert not torch.equal(seen[1]["shared.4"], seen[2]["shared.4"])
    assert {name: int(mask.sum()) for name, mask in seen[9].items()} == hook.keep
    for found in seen[10:]:
        assert all(torch.equal(found[name], mask) for name, mask in seen[9].items())
    agreement = model.shared[4].get_buffer("mask_agreement").item()
    assert 0.0 < agreement < 1.0
    by_all, by_any = hook.chosen["shared.4"]
    assert agreement == pytest.approx(by_all / by_any)
    assert math.isnan(model.branches["depth"].get_buffer("mask_agreement").item())


def test_layer_without_room_to_move_stays_dense() -> None:
    torch.manual_seed(0)
    model = TwoHeads().train()
    hook = make_hook(model, iterations=8)
    before = model.branches["normals"].weight.detach().clone()
    hook.after_backward(model, step(model, 0))
    assert masks(model)["branches.normals"].all()
    assert torch.equal(model.branches["normals"].weight, before)


def test_grown_weight_starts_at_0_and_is_trained_from_the_same_step_on() -> None:
    torch.manual_seed(0)
    model = TwoHeads().train()
    hook, keeper = make_hook(model, iterations=8), MaskKeeper()
    before = masks(model)["shared.4"]
    now = step(model, 0)
    sum(sum(losses.values()) for losses in now.losses()).backward()
    for each in (hook, keeper):
        each.after_backward(model, now)
    grown = masks(model)["shared.4"] & ~before
    weight = model.shared[4].weight
    assert grown.any()
    assert (weight[grown] == 0.0).all()
    assert (weight.grad[grown] != 0.0).any()
    assert (weight.grad[~masks(model)["shared.4"]] == 0.0).all()


ROOMS = Rooms(name="rooms", size=(32, 32), train=8, test=1)


def train(checkpoint: Path, *, stop: Callable[[], bool] = lambda: False) -> nn.Module:
    torch.manual_seed(0)
    info, model = ROOMS.info(), TwoHeads()
    trainer: Trainer = build(
        Training(iterations=12, batch=4, learning_rate=1e-2, weight_decay=0.1),
        model=model,
        tasks={
            "depth": build(Depth(name="depth"), info=info),
            "normals": build(Normals(name="normals"), info=info),
        },
        weighting=build(Equal(name="equal"), tasks=TASKS),
        hooks=[make_hook(model, iterations=12, dropout=True), MaskKeeper()],
        dataset=build(ROOMS, info=info, split="train", root=None),
        validation=build(ROOMS, info=info, split="validation", root=None),
        depth_unit=info.depth_unit,
        seed=7,
    )
    trainer.run(
        checkpoint=checkpoint,
        checkpoint_every_s=1e9,
        loader_workers=0,
        stop=stop,
        progress=lambda done, total, what: None,
        told=lambda entry: None,
    )
    return model


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps


def test_training_with_moving_masks_resumes_bit_for_bit(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight")
    for steps in (3, 4):  # between two updates, and right before one
        with pytest.raises(StopRequested):
            train(tmp_path / "resumed", stop=stop_after(steps))
    resumed = train(tmp_path / "resumed")
    assert same(resumed.state_dict(), straight.state_dict())
