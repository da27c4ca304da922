"""What a submission means to a run that is already there."""

from __future__ import annotations

import copy
import dataclasses
import random

import pytest

from mtljobs.cli.only import parse_only
from mtljobs.errors import GridError, StaleSlotError
from mtljobs.plan import planning
from mtljobs.plan.planning import compare_plans, grow_plan
from mtljobs.settings.data import Rooms


@pytest.fixture
def first(planned, table):
    """The run's plan: sparsities 0 and 0.5, seed 0."""
    return planned(table)


def places(plan):
    """Shard name -> what a worker and a store know of it."""
    return {
        shard.name: (shard.identity, shard.place, shard.parents)
        for shard in plan.shards
        if shard.stage != "reduce"
    }


def by_slot(plan):
    return {cell.slot: cell for cell in plan.cells}


class TestGrowth:
    @pytest.fixture
    def grown(self, planned, table, experiment, first):
        """A sparsity and a seed more, both written before the old ones."""
        experiment["sparsities"] = [0.75, 0.5, 0.0]
        experiment["seeds"] = [7, 0]
        return grow_plan(first, planned(table, previous=first))

    def test_old_cells_and_shards_stay_as_they_were(self, first, grown):
        assert by_slot(first).items() <= by_slot(grown).items()
        assert places(first).items() <= places(grown).items()

    def test_old_shards_keep_their_index(self, first, grown):
        # A job that still waits in a queue was given an index of the older plan's file.
        count = len(first.shards) - 1
        assert grown.shards[:count] == first.shards[:count]

    def test_axes_grow_at_their_ends_whatever_the_order_in_the_grid(self, first, grown):
        before, after = first.layouts["study"], grown.layouts["study"]
        assert after.sparsities == (0.0, 0.5, 0.75)
        assert after.seeds == (0, 7)
        assert dataclasses.replace(after, sparsities=(0.0, 0.5), seeds=(0,)) == before

    def test_new_cells_stand_where_their_axes_say(self, grown):
        layout = grown.layouts["study"]
        for cell in grown.cells:
            shards = [shard for shard in grown.shards if shard.name in cell.shards]
            for place in (shard.place for shard in shards if not shard.shared):
                assert layout.sparsities[place["sparsity"]] == cell.sparsity
                assert layout.seeds[place["seed"]] == cell.seed

    def test_only_the_new_cells_are_new(self, planned, table, first, grown):
        changes = compare_plans(first, planned(table, previous=first))
        assert {cell.slot[1:] for cell in changes.kept} == {(0.0, 0), (0.5, 0)}
        assert {cell.slot[1:] for cell in changes.new} == {(0.75, 0), (0.75, 7), (0.5, 7), (0.0, 7)}
        assert not changes.stale
        assert len(grown.cells) == 6

    def test_parents_still_come_first_and_the_reduction_last(self, grown):
        seen = set()
        for shard in grown.shards:
            assert seen.issuperset(shard.parents)
            seen.add(shard.name)
        assert [shard.stage for shard in grown.shards].index("reduce") == len(grown.shards) - 1

    def test_smaller_grid_takes_nothing_away(self, planned, table, experiment, grown):
        experiment["sparsities"], experiment["seeds"] = [0.5], [7]
        again = grow_plan(grown, planned(table, previous=grown))
        assert again == grown

    def test_new_experiment_leaves_the_others_as_they_were(self, planned, table, first):
        other = {**copy.deepcopy(table["experiment"][0]), "name": "other"}
        other["training"] = {"iterations": 99}
        table["experiment"] = [other]
        grown = grow_plan(first, planned(table, previous=first))
        assert places(first).items() <= places(grown).items()
        assert list(grown.layouts) == ["study", "other"]
        assert grown.layouts["study"] == first.layouts["study"]

    def test_submitting_the_same_again_changes_nothing(self, planned, table, grown):
        assert grow_plan(grown, planned(table, previous=grown)) == grown

    def test_value_that_is_the_default_may_be_written_out(self, planned, table, experiment, first):
        experiment["training"]["learning_rate"] = 1e-4
        experiment["explain"].update({"segments_max": 152, "saliency": {"name": "grad_cam"}})
        table["numerics"] = {"irof_batch": first.shards[-2].spec["irof_batch"]}
        assert grow_plan(first, planned(table, previous=first)) == first

    def test_new_resources_are_those_of_the_run(self, planned, table, first):
        table["resources"] = {"memory_gb": 64.0}
        grown = grow_plan(first, planned(table, previous=first))
        assert grown.resources["memory_gb"] == 64.0
        assert grown.shards == first.shards

    def test_folders_of_data_sets_add_up(self, planned, table, tmp_path):
        table["resources"] = {"data": {"desk": "a", "hall": "b"}}
        first = planned(table)
        table["resources"] = {"data": {"hall": "c"}}
        grown = grow_plan(first, planned(table, previous=first))
        assert grown.resources["data"] == {
            "desk": str(tmp_path / "a"), "hall": str(tmp_path / "c"),
        }  # fmt: skip


class TestOnly:
    def test_other_cells_are_left_out(self, planned, table):
        plan = planned(table, wanted=parse_only(["sparsity=0.5"]))
        assert [cell.slot for cell in plan.cells] == [("study", 0.5, 0)]
        assert plan.layouts["study"].sparsities == (0.5,)

    def test_what_was_left_out_may_follow(self, planned, table, first):
        part = planned(table, wanted=parse_only(["sparsity=0.5"]))
        whole = grow_plan(part, planned(table, previous=part))
        assert whole.layouts["study"].sparsities == (0.5, 0.0)
        assert {name: place[0] for name, place in places(whole).items()} == {
            name: place[0] for name, place in places(first).items()
        }

    def test_stale_experiment_does_not_hinder_another(self, planned, table, experiment, first):
        table["experiment"].append({**copy.deepcopy(experiment), "name": "other"})
        experiment["training"]["iterations"] = 99
        wanted = parse_only(["experiment=other"])
        grown = grow_plan(first, planned(table, previous=first, wanted=wanted))
        assert {cell.experiment for cell in grown.cells} == {"study", "other"}
        assert grown.layouts["study"] == first.layouts["study"]

    def test_nothing_left_names_what_there_is(self, planned, table):
        with pytest.raises(GridError) as caught:
            planned(table, wanted=parse_only(["sparsity=0.3"]))
        assert "--only leaves no cell of the grid 'grid'" in str(caught.value)
        assert "study: sparsities [0.0, 0.5], seeds [0]" in str(caught.value)

    def test_what_is_left_out_is_checked_all_the_same(self, planned, table, experiment):
        experiment["data"]["size"] = [33, 33]
        with pytest.raises(GridError, match="multiples of 32"):
            planned(table, wanted=parse_only(["experiment=other"]))


class TestStale:
    @pytest.mark.parametrize(
        ("key", "value", "name"),
        [
            (("training", "learning_rate"), 0.5, "experiment.training.learning_rate"),
            (("training", "iterations"), 13, "experiment.training.iterations"),
            (("pruning", "penalty"), 0.5, "experiment.pruning.penalty"),
            (("explain", "images"), 6, "experiment.explain.images"),
            (("explain", "block"), 7, "experiment.explain.block"),
            (("explain", "previews"), 1, "experiment.explain.previews"),
            (("explain", "maps"), "scores", "experiment.explain.maps"),
            (
                ("explain", "superpixels"), {"name": "slic", "compactness": 1.0},
                "experiment.explain.superpixels.compactness",
            ),
            (("model", "width"), 0.125, "experiment.model.width"),
            (("tasks",), [{"name": "depth"}], "experiment.tasks"),
            (
                ("tasks",), [{"name": "segmentation"}, {"name": "depth", "bins": 4}],
                "experiment.tasks.1.bins",
            ),
        ],
    )  # fmt: skip
    def test_changed_key_is_named(self, planned, table, key, value, name):
        first = planned(table)
        place = table["experiment"][0]
        for parent in key[:-1]:
            place = place[parent]
        place[key[-1]] = value
        changes = compare_plans(first, planned(table, previous=first))
        assert (changes.new, changes.kept) == ((), ())
        assert {cell.slot[1:]: name in keys for cell, keys in changes.stale.items()} == {
            (0.0, 0): True,
            (0.5, 0): True,
        }

    def test_one_changed_key_is_all_that_is_named(self, planned, table, experiment, first):
        experiment["training"]["learning_rate"] = 0.5
        changes = compare_plans(first, planned(table, previous=first))
        assert set(changes.stale.values()) == {("experiment.training.learning_rate",)}

    def test_changed_numerics_are_named(self, planned, table, first):
        table["numerics"] = {"threads": 2}
        changes = compare_plans(first, planned(table, previous=first))
        assert set(changes.stale.values()) == {("numerics.threads",)}

    def test_changed_data_is_named(self, planned, table, first, monkeypatch):
        info = Rooms(name="rooms", size=(32, 64), train=16, test=8).info()
        prepared_again = dataclasses.replace(info, sha256="5" * 64)
        monkeypatch.setattr(planning, "dataset_info", lambda *_: prepared_again)
        changes = compare_plans(first, planned(table, previous=first))
        assert set(changes.stale.values()) == {("data_sha256",)}

    def test_change_that_no_setting_explains_is_the_softwares(self, planned, table, first):
        cells = tuple(dataclasses.replace(cell, identity="5" * 64) for cell in first.cells)
        older = dataclasses.replace(first, cells=cells)
        changes = compare_plans(older, planned(table, previous=older))
        assert set(changes.stale.values()) == {("the software's version",)}

    def test_new_seed_of_changed_settings_is_stale_too(self, planned, table, experiment, first):
        experiment["seeds"] = [1]
        experiment["training"]["iterations"] = 13
        changes = compare_plans(first, planned(table, previous=first))
        assert [cell.seed for cell in changes.stale] == [1, 1]

    def test_submission_is_refused_and_names_keys_and_a_way_out(
        self, planned, table, experiment, first
    ):
        experiment["training"]["iterations"] = 13
        experiment["explain"]["previews"] = 1
        with pytest.raises(StaleSlotError) as caught:
            grow_plan(first, planned(table, previous=first))
        for part in ("2 cells", "experiment.training.iterations", "experiment.explain.previews",
                     "--run NEW"):  # fmt: skip
            assert part in str(caught.value)

    def test_restored_settings_are_welcome_again(self, planned, table, experiment, first):
        experiment["training"]["iterations"] = 13
        planned(table, previous=first)
        experiment["training"]["iterations"] = 12
        assert grow_plan(first, planned(table, previous=first)) == first


def random_grid(table, chance):
    """Some experiments of one study, with some of its sparsities and seeds, in any order."""
    grid = copy.deepcopy(table)
    template = grid["experiment"].pop()
    for name in chance.sample(["a", "b", "c"], chance.randint(1, 3)):
        experiment = copy.deepcopy(template) | {"name": name}
        experiment["training"]["iterations"] = {"a": 5, "b": 5, "c": 9}[name]
        experiment["sparsities"] = chance.sample([0.0, 0.25, 0.5, 0.75], chance.randint(1, 4))
        experiment["seeds"] = chance.sample(range(4), chance.randint(1, 4))
        grid["experiment"].append(experiment)
    return grid


@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_submissions_moves_what_was_there_before(planned, table, seed):
    chance = random.Random(seed)
    run = None
    for _ in range(6):
        grid = random_grid(table, chance)
        before = run
        run = grow_plan(before, planned(grid, previous=before))
        names = [shard.name for shard in run.shards]
        assert len(set(names)) == len(names)
        assert len({cell.slot for cell in run.cells}) == len(run.cells)
        wanted = {
            (experiment["name"], sparsity, network)
            for experiment in grid["experiment"]
            for sparsity in experiment["sparsities"]
            for network in experiment["seeds"]
        }
        assert wanted <= by_slot(run).keys()
        for shard in run.shards:
            if shard.stage in {"evaluate", "explain"}:
                place = shard.place
                layout = run.layouts[place["experiment"]]
                sparsity, network = (
                    layout.sparsities[place["sparsity"]],
                    layout.seeds[place["seed"]],
                )
                label = f"{shard.stage}-{place['experiment']}-{sparsity:g}-{network}-"
                assert shard.name.startswith(label)
        if before is not None:
            assert by_slot(before).items() <= by_slot(run).items()
            assert places(before).items() <= places(run).items()
            assert run.shards[: len(before.shards) - 1] == before.shards[:-1]


@pytest.mark.parametrize("seed", range(8))
def test_identities_do_not_depend_on_what_is_planned_beside_them(planned, table, seed):
    chance = random.Random(seed)
    whole = by_slot(planned(random_grid(table, chance)))
    other = by_slot(planned(random_grid(table, chance)))
    for slot in whole.keys() & other.keys():
        assert whole[slot].identity == other[slot].identity
        assert whole[slot].network == other[slot].network
