from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import TypeAdapter, ValidationError

from mtljobs.contracts import ChannelGroup, Phase
from mtljobs.errors import GridError
from mtljobs.settings import canonical
from mtljobs.settings.pruning import DiSparse, HRank, NetSlim, PruningChoice, Reach, halvings

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


class TestDiSparseRecipe:
    @pytest.mark.parametrize("variant", ["static", "pretrained", "dynamic"])
    def test_sparsity_0_is_a_training_without_the_method(self, variant):
        assert DiSparse(name="disparse", variant=variant).recipe(0.0) == (Phase(kind="train"),)

    def test_static_cuts_an_initialisation_and_trains_what_is_left(self):
        method = DiSparse(name="disparse", batches=30, update_every=7, tune_iterations=9)
        scored = canonical(DiSparse(name="disparse", batches=30))
        assert method.recipe(0.9) == (
            Phase(kind="cut", method=scored, sparsity=0.9),
            Phase(kind="train"),
        )

    def test_pretrained_cuts_what_was_trained_and_tunes_it_at_a_low_rate(self):
        method = DiSparse(name="disparse", variant="pretrained", score="magnitude", erk_power=1)
        assert method.recipe(0.9) == (
            Phase(kind="train"),
            Phase(
                kind="cut",
                method=canonical(DiSparse(name="disparse", score="magnitude")),
                sparsity=0.9,
            ),
            Phase(kind="tune", iterations=1000, learning_rate=1e-5),
        )

    def test_dynamic_prunes_as_it_trains(self):
        method = DiSparse(name="disparse", variant="dynamic", update_every=7, batches=30)
        moving = canonical(DiSparse(name="disparse", variant="dynamic", update_every=7))
        assert method.recipe(0.9) == (Phase(kind="train", method=moving, sparsity=0.9),)

    def test_every_sparsity_of_a_grid_below_1_is_in_reach(self):
        reach = DiSparse(name="disparse").reachable(groups(1))
        assert 0.0001 in reach
        assert 0.9999 in reach
        assert 1.0 not in reach


@pytest.mark.parametrize("ratio", ["bisected", "nominal", 0.08, 1])
def test_keep_ratio_is_a_word_or_a_share(ratio):
    table = {"name": "disparse", "keep_ratio": ratio}
    assert TypeAdapter(PruningChoice).validate_python(table).keep_ratio == ratio


@pytest.mark.parametrize("ratio", ["halved", 0.0, 1.5])
def test_keep_ratio_that_is_neither_is_refused(ratio):
    with pytest.raises(ValidationError, match="keep_ratio"):
        TypeAdapter(PruningChoice).validate_python({"name": "disparse", "keep_ratio": ratio})


HRANK = {
    "version": 1,
    "name": "hrank",
    "images": 500,
    "tied_score": "mean",
    "map_side_max": None,
    "floor": 1,
    "tune_iterations": None,
}


class TestHRankRecipe:
    def test_it_cuts_and_tunes_for_each_halving(self):
        assert HRank(name="hrank", tune_iterations=7).recipe(0.75) == (
            Phase(kind="train"),
            Phase(kind="cut", method=HRANK, sparsity=0.5),
            Phase(kind="tune", iterations=7),
            Phase(kind="cut", method=HRANK, sparsity=0.75),
            Phase(kind="tune", iterations=7),
        )

    def test_lower_sparsity_is_the_beginning_of_a_higher_one(self):
        recipes = [HRank(name="hrank").recipe(1 - 2.0**-k) for k in range(5)]
        for short, long in pairwise(recipes):
            assert long[: len(short)] == short
            assert len(long) == len(short) + 2

    def test_cut_depends_on_what_is_ranked_and_not_on_floor_and_tuning(self):
        method = HRank(
            name="hrank", images=8, tied_score="first", map_side_max=32, floor=2, tune_iterations=7
        )
        ranked = {**HRANK, "images": 8, "tied_score": "first", "map_side_max": 32}
        assert method.recipe(0.5)[1] == Phase(kind="cut", method=ranked, sparsity=0.5)

    def test_sparsity_0_is_a_training_without_the_method(self):
        assert HRank(name="hrank", images=8).recipe(0.0) == (Phase(kind="train"),)

    @pytest.mark.parametrize("sparsity", [0.6, 0.9687, 0.96875, 0.98])
    def test_sparsity_that_no_halving_leads_to_is_refused(self, sparsity):
        with pytest.raises(GridError, match=f"to a sparsity of {sparsity:g}; it leads to 0.5, 0.7"):
            HRank(name="hrank").recipe(sparsity)


class TestHRankReach:
    def test_steps_have_the_four_digits_of_a_grid(self):
        steps = HRank(name="hrank").reachable(groups(512, 512)).steps
        assert steps == (0.5, 0.75, 0.875, 0.9375, 0.9688, 0.9844, 0.9922, 0.9961, 0.998)
        assert [halvings(step) for step in steps] == [1, 2, 3, 4, 5, 6, 7, 8, 9]

    @pytest.mark.parametrize(
        ("floor", "widths", "steps"),
        [
            (1, (4, 32), (0.5, 0.75)),  # SegNet-MTAN at width 1/16
            (2, (4, 32), (0.5,)),
            (1, (7, 8), (0.5, 0.75)),  # an eighth of 7 is no whole channel
            (8, (64, 512), (0.5, 0.75, 0.875)),
            (1, (1, 8), ()),
            (3, (4, 32), ()),
        ],
    )
    def test_narrowest_group_is_halved_down_to_its_floor(self, floor, widths, steps):
        reach = HRank(name="hrank", floor=floor).reachable(groups(*widths))
        assert reach == Reach(max(steps, default=0.0), steps)
