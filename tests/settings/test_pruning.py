from __future__ import annotations

import pytest

from mtljobs.contracts import ChannelGroup, Phase
from mtljobs.settings.pruning import NetSlim, Reach

METHOD = {
    "version": 1,
    "name": "netslim",
    "penalty": 1e-4,
    "penalty_form": "subgradient",
    "floor": 1,
    "tune_iterations": None,
}


def groups(*widths):
    return [ChannelGroup(f"g{i}", width, (f"conv.{i}",)) for i, width in enumerate(widths)]


class TestNetSlimRecipe:
    def test_it_is_train_cut_and_tune(self):
        assert NetSlim(name="netslim").recipe(0.5) == (
            Phase(kind="train", method=METHOD),
            Phase(kind="cut", method=METHOD, sparsity=0.5),
            Phase(kind="tune"),
        )

    def test_training_depends_on_the_penalty_alone(self):
        method = NetSlim(name="netslim", penalty=0.5, floor=3, tune_iterations=7)
        train, cut, tune = method.recipe(0.5)
        assert train.method == {**METHOD, "penalty": 0.5}
        assert cut.method == {**METHOD, "penalty": 0.5, "floor": 3}
        assert tune == Phase(kind="tune", iterations=7)

    def test_sparsities_differ_in_the_cut_alone(self):
        half, most = (NetSlim(name="netslim").recipe(sparsity) for sparsity in (0.5, 0.75))
        assert (half[0], half[2]) == (most[0], most[2])
        assert (half[1].sparsity, most[1].sparsity) == (0.5, 0.75)

    @pytest.mark.parametrize("settings", [{}, {"penalty": 0.5}, {"tune_iterations": 7}])
    def test_sparsity_0_is_a_training_without_the_method(self, settings):
        assert NetSlim(name="netslim", **settings).recipe(0.0) == (Phase(kind="train"),)


class TestNetSlimReach:
    @pytest.mark.parametrize(
        ("floor", "widths", "highest"),
        [
            (1, (30, 10), 0.95),  # 2 of 40 stay
            (2, (30, 10), 0.9),
            (5, (30, 10), 0.75),
            (10, (30, 10), 0.5),
            (20, (30, 10), 0.25),  # the second group stays whole
            (100, (30, 10), 0.0),
            (1, (1, 2), 0.3333),  # 1/3, rounded down
            (1, (2, 4), 0.6666),  # 4/6, rounded down
            (1, (1,), 0.0),
        ],
    )
    def test_highest_sparsity_leaves_every_group_its_floor(self, floor, widths, highest):
        method = NetSlim(name="netslim", floor=floor)
        assert method.reachable(groups(*widths)) == Reach(highest)
