from __future__ import annotations

import pytest

from mtljobs.settings import digest


@pytest.fixture
def plan(planned, table):
    return planned(table)


class TestNames:
    def test_shard_of_a_run_says_experiment_sparsity_seed_and_block(self, plan, of_stage):
        for stage, count in (("evaluate", 2), ("explain", 6)):
            shards = of_stage(plan, stage)
            assert len(shards) == count
            for shard in shards:
                place = shard.place
                label = f"study-{('0', '0.5')[place['sparsity']]}-0"
                block = f"-{place['block']}" if stage == "explain" else ""
                assert shard.name == f"{stage}-{label}{block}-{shard.identity[:12]}"
                assert not shard.shared

    def test_name_shows_a_sparsity_as_the_grid_writes_it(
        self, planned, of_stage, table, experiment
    ):
        experiment["sparsities"] = [0.0001, 0.9375]
        names = [shard.name for shard in of_stage(planned(table), "evaluate")]
        assert names[0].startswith("evaluate-study-0.0001-0-")
        assert names[1].startswith("evaluate-study-0.9375-0-")

    def test_names_are_distinct(self, planned, table, experiment):
        twin = {**experiment, "name": "study-0"}
        experiment["seeds"] = twin["seeds"] = [0, 1, 10, 11]
        table["experiment"].append(twin)
        names = [shard.name for shard in planned(table).shards]
        assert len(set(names)) == len(names)


class TestBlocks:
    @pytest.mark.parametrize(
        "blocks",
        [
            ({"images": 7, "block": 3}, [3, 3, 1]),
            ({"images": 6, "block": 3}, [3, 3]),
            ({"images": 7}, [7]),
            ({"images": 7, "block": 100}, [7]),
            ({"images": 1}, [1]),
        ],
    )
    def test_images_are_split_in_order_with_a_ragged_last_block(
        self, planned, of_stage, table, blocks
    ):
        explain, sizes = blocks
        table["experiment"][0] |= {"explain": explain, "sparsities": [0.0]}
        plan = planned(table)
        images = [shard.spec["images"] for shard in of_stage(plan, "explain")]
        assert [len(block) for block in images] == sizes
        assert [image for block in images for image in block] == list(plan.layouts["study"].images)
        assert [shard.place["block"] for shard in of_stage(plan, "explain")] == list(
            range(len(sizes))
        )

    @pytest.mark.parametrize(
        "kept_maps",
        [
            ({}, [("native", 3), ("native", 3), ("native", 1)]),
            ({"maps": "half"}, [("half", 3), ("half", 3), ("half", 1)]),
            ({"maps": "scores"}, [("scores", 0)] * 3),
            ({"maps": "subset", "map_images": 4}, [("subset", 3), ("subset", 1), ("scores", 0)]),
        ],
    )
    def test_a_block_keeps_the_maps_of_its_images_that_are_wanted(
        self, planned, of_stage, table, kept_maps
    ):
        change, kept = kept_maps
        explain = {"images": 7, "block": 3, **change}
        table["experiment"][0] |= {"explain": explain, "sparsities": [0.0]}
        specs = [shard.spec for shard in of_stage(planned(table), "explain")]
        assert [(spec["maps"], spec["map_images"]) for spec in specs] == kept

    def test_evaluation_shows_every_explained_image(self, plan, of_stage):
        for shard in of_stage(plan, "evaluate"):
            assert shard.spec["images"] == list(plan.layouts["study"].images)

    def test_explained_images_are_spread_evenly_over_the_test_split(self, plan):
        # 7 of 8: indices 0, 8/7, 16/7, ... rounded down.
        assert plan.layouts["study"].images == tuple(f"test-0000{i}" for i in (0, 1, 2, 3, 4, 5, 6))

    def test_half_of_the_images_is_every_second(self, planned, table, experiment):
        experiment["explain"] = {"images": 4}
        images = planned(table).layouts["study"].images
        assert images == ("test-00000", "test-00002", "test-00004", "test-00006")


class TestInputs:
    def test_explanation_waits_for_its_network_and_the_superpixels(self, plan, of_stage):
        (segment,) = of_stage(plan, "segment")
        networks = {cell.slot: cell.network for cell in plan.cells}
        for shard in of_stage(plan, "explain"):
            network = networks["study", (0.0, 0.5)[shard.place["sparsity"]], 0]
            assert shard.inputs["network"] == network
            assert shard.inputs["segments"] == segment.identity
            assert shard.parents == (segment.name, f"train-{network[:12]}")

    def test_evaluation_waits_for_its_network_alone(self, plan, of_stage):
        for shard in of_stage(plan, "evaluate"):
            assert set(shard.inputs) == {"data", "network"}
            assert shard.parents == (f"train-{shard.inputs['network'][:12]}",)

    def test_bins_are_part_of_the_explanation(self, planned, of_stage, table, experiment):
        names = {shard.name for shard in of_stage(planned(table), "explain")}
        experiment["tasks"][1]["bins"] = 10
        after = planned(table)
        assert not names & {shard.name for shard in of_stage(after, "explain")}

    def test_alias_of_a_layer_stands_for_its_module(self, planned, of_stage, table, experiment):
        by_alias = planned(table)
        experiment["explain"]["saliency"] = {"name": "grad_cam", "layer": "conv_block_dec.0"}
        assert planned(table) == by_alias
        assert of_stage(by_alias, "explain")[0].spec["saliency"]["layer"] == "conv_block_dec.0"

    @pytest.mark.parametrize(
        "explain",
        [
            {"superpixels": {"name": "slic", "n_segments": 50}},
            {"superpixels": {"name": "slic", "compactness": 1.0}},
            {"segments_max": 77},
        ],
    )
    def test_superpixels_are_made_anew_for_other_settings(self, planned, of_stage, table, explain):
        before = planned(table)
        table["experiment"][0]["explain"].update(explain)
        after = planned(table)
        assert of_stage(after, "segment") != of_stage(before, "segment")
        assert of_stage(after, "train") == of_stage(before, "train")
        assert of_stage(after, "evaluate") == of_stage(before, "evaluate")

    def test_superpixels_do_not_depend_on_how_they_are_used(
        self, planned, of_stage, table, experiment
    ):
        before = planned(table)
        experiment["explain"].update({"images": 3, "block": 2, "previews": 0, "maps": "scores"})
        experiment["model"]["width"] = 0.125
        assert of_stage(planned(table), "segment") == of_stage(before, "segment")


class TestPlan:
    def test_parents_come_before_their_children(self, plan):
        seen = set()
        for shard in plan.shards:
            assert seen.issuperset(shard.parents), shard.name
            seen.add(shard.name)

    def test_reduction_is_last_and_waits_for_everything(self, plan):
        *others, last = plan.shards
        assert last.name == last.stage == "reduce"
        assert set(last.parents) == {shard.name for shard in others}
        assert all(shard.stage != "reduce" for shard in others)

    def test_cell_names_its_shards_parents_first(self, plan):
        shards = {shard.name: shard for shard in plan.shards}
        for cell in plan.cells:
            stages = [shards[name].stage for name in cell.shards]
            phases = ["train"] if cell.sparsity == 0 else ["train", "prune", "train"]
            assert stages == ["segment", *phases, "evaluate", "explain", "explain", "explain"]

    def test_cell_is_what_it_adds_to_the_store(self, plan):
        shards = {shard.name: shard for shard in plan.shards}
        for cell in plan.cells:
            results = [shards[name].identity for name in cell.shards[-4:]]
            assert cell.identity == digest(results)

    def test_every_shard_belongs_to_a_cell(self, plan):
        named = {name for cell in plan.cells for name in cell.shards}
        assert named | {"reduce"} == {shard.name for shard in plan.shards}
