from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from fractions import Fraction

import pytest
import torch
from torch import nn

from mtljobs.contracts import ChannelGroup
from mtljobs.errors import GridError, MtljobsError
from mtljobs.pruning.hrank import MapStatistics, evidence, measure, strongest
from mtljobs.settings import build
from mtljobs.settings import pruning as settings

# Red shows a map of rank 4, green one of rank 1, blue one of rank 2.
COLOURS = torch.stack(
    [torch.eye(4), torch.ones(4, 4), torch.tensor([[1.0], [0], [1], [0]]) * torch.eye(4)]
)[None]
RED, GREEN, BLUE, DEAD = [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [-1.0, 0, 0]


class Block(nn.Sequential):
    """A convolution of 1 x 1 with those filters, a norm that does nothing, a ReLU."""

    def __init__(self, filters: Sequence[Sequence[float]]) -> None:
        super().__init__()
        weight = torch.tensor(filters)
        self.conv = nn.Conv2d(weight.shape[1], len(weight), 1, bias=False)
        self.conv.weight.data = weight[:, :, None, None]
        self.norm = nn.BatchNorm2d(len(weight), eps=0)
        self.relu = nn.ReLU()


class Sum(nn.Module):
    """Two blocks whose outputs are added, channel by channel, and a head for each task."""

    def __init__(self, *filters: list[list[float]], tasks: tuple[str, ...] = ("depth",)) -> None:
        super().__init__()
        self.tasks = tasks
        self.blocks = nn.ModuleList(map(Block, filters))
        self.heads = nn.ModuleDict({task: nn.Conv2d(len(filters[0]), 1, 1) for task in tasks})
        producers = tuple(f"blocks.{k}.conv" for k in range(len(filters)))
        self.groups = (ChannelGroup("sum", len(filters[0]), producers),)
        self.images = 0

    def forward(self, images, tasks):
        self.images += len(images)
        together = sum(block(images) for block in self.blocks)
        return {task: self.heads[task](together) for task in tasks}

    def widths(self):
        return {"sum": self.blocks[0].conv.out_channels}

    def feature_maps(self):
        return {"sum": tuple(self.blocks)}

    def traceable(self):
        return nullcontext()

    def filters(self):
        return [block.conv.weight.detach().flatten(1).tolist() for block in self.blocks]


def cut(network: nn.Module, *images: torch.Tensor, sparsity: float = 0.5, **choice: object) -> None:
    build(settings.HRank(name="hrank", **choice)).cut(
        network.eval(),
        sparsity=sparsity,
        groups=network.groups,
        batches=iter([{"image": some} for some in images]),
        losses=lambda model, batch: {},
    )


def statistics(ranks: list[int], *, maps: int = 1, highest: int = 10) -> MapStatistics:
    nothing = torch.zeros(len(ranks), dtype=torch.float64)
    return MapStatistics(torch.tensor(ranks), nothing, maps=maps, highest=highest, by_svd=0)


class TestSelection:
    def test_filters_of_the_lowest_ranks_go_and_the_rest_keeps_its_order(self):
        network = Sum([GREEN, RED, DEAD, BLUE])  # ranks 1, 4, 0, 2
        cut(network, COLOURS)
        assert network.filters() == [[RED, BLUE]]

    def test_size_of_the_activation_does_not_count_where_ranks_differ(self):
        network = Sum([[0, 100.0, 0], RED])
        cut(network, COLOURS)
        assert network.filters() == [[RED]]

    def test_of_equal_ranks_the_larger_mean_activation_stays(self):
        double = [2.0, 0, 0]
        network = Sum([RED, double, GREEN, RED])  # ranks 4, 4, 1, 4
        cut(network, COLOURS)
        assert network.filters() == [[RED, double]]  # and of the two equal reds the first

    def test_what_is_equal_in_all_is_cut_from_the_end(self):
        assert strongest([(Fraction(1), 0.5)] * 5, keep=3) == [0, 1, 2]

    def test_tied_filters_have_the_mean_of_their_ranks(self):
        # Means of 4 and 0, 1 and 4, 2 and 1 out of 4.
        network = Sum([RED, GREEN, BLUE], [DEAD, RED, GREEN])
        cut(network, COLOURS)
        assert network.filters() == [[RED, GREEN], [DEAD, RED]]

    def test_first_of_tied_filters_may_decide_alone(self):
        network = Sum([RED, GREEN, BLUE], [DEAD, RED, GREEN])
        cut(network, COLOURS, tied_score="first")
        assert network.filters() == [[RED, BLUE], [DEAD, GREEN]]

    @pytest.mark.parametrize(("sparsity", "left"), [(0.5, 4), (0.75, 2), (0.875, 1), (0.9688, 1)])
    def test_odd_width_keeps_the_larger_half_and_never_nothing(self, sparsity, left):
        network = Sum([RED] * 7)
        cut(network, COLOURS, sparsity=sparsity)
        assert network.widths() == {"sum": left}

    def test_sparsity_counts_from_the_dense_network(self):
        network = Sum([RED] * 7)
        for sparsity in (0.5, 0.75):
            cut(network, COLOURS, sparsity=sparsity)
        assert network.widths() == {"sum": 2}

    def test_sparsity_between_two_halvings_is_refused(self):
        with pytest.raises(GridError, match=r"sparsity of 0\.6; it leads to 0\.5, 0\.75, 0\.875"):
            cut(Sum([RED, RED]), COLOURS, sparsity=0.6)


class TestEvidence:
    def test_ranks_and_activation_are_added_over_images(self):
        found = measure(torch.cat([COLOURS, 2 * COLOURS]), side_max=None)
        assert found.ranks.tolist() == [4 + 4, 1 + 1, 2 + 2]
        assert found.activation.tolist() == [0.25 + 0.5, 1 + 2, 0.125 + 0.25]
        assert (found.maps, found.highest, found.by_svd) == (2, 4, 0)

    def test_large_maps_are_averaged_over_areas(self):
        found = measure(COLOURS, side_max=2)  # halves of 1, ones, and quarters of 1
        assert found.ranks.tolist() == [2, 1, 2]
        assert found.activation.tolist() == [0.25, 1, 0.125]
        assert found.highest == 2

    def test_map_within_the_limit_stays_as_it_is(self):
        assert measure(COLOURS, side_max=4).ranks.tolist() == [4, 1, 2]

    def test_rank_counts_as_a_fraction_of_the_highest(self):
        # The encoder's maps are of 10 x 10, the decoder's of 20 x 20.
        found = evidence([[statistics([10, 5], highest=10)], [statistics([5, 20], highest=20)]])
        assert [score for score, _ in found] == [Fraction(5, 8), Fraction(3, 4)]

    def test_calls_of_a_shared_producer_are_averaged(self):
        found = evidence([[statistics([10, 2]), statistics([4, 2]), statistics([1, 2])]])
        assert [score for score, _ in found] == [Fraction(5, 10), Fraction(2, 10)]

    def test_rounding_breaks_no_tie(self):
        # 1/10 + 2/10 and 15/100 + 15/100, which differ in floating point.
        first, second = statistics([10, 15], maps=10), statistics([20, 15], maps=10)
        (one, _), (other, _) = evidence([[first], [second]])
        assert one == other == Fraction(15, 100)

    def test_maps_of_a_diverged_training_are_refused(self):
        with pytest.raises(MtljobsError, match="feature maps are not finite"):
            cut(Sum([[float("nan"), 0, 0], RED]), COLOURS)

    @pytest.mark.parametrize(("asked", "seen"), [(1, 1), (3, 3), (4, 4), (5, 5), (9, 6)])
    def test_no_more_images_are_ranked_than_asked_for(self, asked, seen):
        network = Sum([RED, GREEN])
        watched = []
        network.blocks[0].register_forward_hook(lambda *call: watched.append(len(call[2])))
        cut(network, *[COLOURS.expand(2, -1, -1, -1)] * 3, images=asked)
        assert sum(watched[:-1]) == seen  # the last call is the trace

    def test_log_says_how_many_cuts_the_ranks_left_open(self, caplog):
        caplog.set_level(logging.INFO)
        cut(Sum([RED, GREEN, RED, BLUE]), COLOURS)
        cut(Sum([RED, [2.0, 0, 0], GREEN]), COLOURS, sparsity=0.75)
        cut(Sum([RED, RED, GREEN]), COLOURS, sparsity=0.75)
        ranked, ties = caplog.messages[::2], caplog.messages[1::2]
        assert ranked[0].startswith("ranked 4 feature maps, 0 of them by singular values")
        assert [text.partition(":")[0].split()[1] for text in ties] == ["0", "1", "1"]
        assert [text.partition("and in ")[2].split()[0] for text in ties] == ["0", "0", "1"]


class TestSegNetMTAN:
    def test_shared_attention_is_ranked_over_every_task_and_kept_by_its_ranks(
        self, lived_in, images
    ):
        network = lived_in("depth", "normals")
        block = network.encoder_block_att[1]
        maps = []
        handle = block.register_forward_hook(lambda *call: maps.append(call[2]))
        with torch.no_grad():
            network(images, network.tasks)
        handle.remove()
        ranks = torch.linalg.matrix_rank(torch.cat(maps)).sum(dim=0)
        activation = torch.cat(maps).mean(dim=(0, 2, 3))
        order = sorted(range(len(ranks)), key=lambda k: (-int(ranks[k]), -float(activation[k])))
        expected = block.conv.bias, block.norm.weight, block.norm.running_mean
        best = sorted(order[: len(order) // 2])
        expected = [values.detach()[best] for values in expected]
        cut(network, images)

        assert len(maps) == 2
        left = block.conv.bias, block.norm.weight, block.norm.running_mean
        assert all(map(torch.equal, left, expected))

    def test_cuts_halve_every_group_and_leave_a_working_network(self, lived_in, images):
        network = lived_in("depth")
        dense = network.widths()
        for k, sparsity in enumerate((0.5, 0.75), start=1):
            cut(network, images, sparsity=sparsity)
            assert network.widths() == {name: width >> k for name, width in dense.items()}
        assert all(p.isfinite().all() for p in network(images, network.tasks).values())

    def test_same_network_and_images_lose_the_same_filters(self, lived_in, images):
        network = lived_in("depth")
        again = deepcopy(network)
        for one in (network, again):
            cut(one, images)
        states = network.state_dict(), again.state_dict()
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    def test_ranking_leaves_no_hook_and_no_mode_behind(self, lived_in, images):
        network = lived_in("depth").train()
        statistics = network.encoder_block[0].norm.running_mean.clone()
        pruner = build(settings.HRank(name="hrank"))
        pruner.cut(
            network,
            sparsity=0.5,
            groups=network.groups,
            batches=[{"image": images}],
            losses=lambda model, batch: {},
        )
        assert network.training
        assert set(network.encoder_block[0].norm.running_mean.tolist()) <= set(statistics.tolist())
        assert not any(module._forward_hooks for module in network.modules())


def test_training_and_tuning_are_plain(lived_in):
    pruner = build(settings.HRank(name="hrank"))
    for kind in ("train", "tune"):
        assert not pruner.hooks(kind, lived_in("depth"), sparsity=None, iterations=1)
