"""Which cells share which networks, and what a network's identity is made of."""

from __future__ import annotations

import copy
import dataclasses
import re

import pytest

from mtljobs.plan import planning
from mtljobs.plan.networks import data_identity
from mtljobs.settings import canonical, digest
from mtljobs.settings.data import Rooms
from mtljobs.settings.explain import Forward


@pytest.fixture
def networks(planned):
    """Cell -> names of the shards that make its network, as a grid plans them."""

    def chains(table):
        plan = planned(table)
        return {
            cell.slot[1:]: [name for name in cell.shards if name.startswith(("train", "prune"))]
            for cell in plan.cells
        }

    return chains


@pytest.fixture
def network(planned, of_stage):
    """The first shard of a stage that a grid plans."""
    return lambda table, stage="train": of_stage(planned(table), stage)[0]


class TestSharing:
    def test_sparsities_above_zero_share_the_penalised_training(self, networks, table, experiment):
        experiment["sparsities"] = [0.0, 0.5, 0.75]
        chains = networks(table)
        dense, half, most = (chains[sparsity, 0] for sparsity in (0.0, 0.5, 0.75))
        assert [len(chain) for chain in (dense, half, most)] == [1, 3, 3]
        assert half[0] == most[0]
        assert len({*dense, *half, *most}) == 1 + 1 + 2 + 2

    def test_phases_of_a_cell_are_train_cut_and_tune(self, planned, table):
        plan = planned(table)
        shards = {shard.name: shard for shard in plan.shards}
        cell = next(cell for cell in plan.cells if cell.sparsity == 0.5)
        phases = [shards[name].spec.get("phase") for name in cell.shards]
        assert phases[1:4] == ["train", "cut", "tune"]
        assert phases[0] == phases[4] is None

    def test_each_phase_begins_with_its_parent(self, planned, table):
        plan = planned(table)
        shards = {shard.name: shard for shard in plan.shards}
        cell = next(cell for cell in plan.cells if cell.sparsity == 0.5)
        train, cut, tune = (shards[name] for name in cell.shards[1:4])
        assert train.parents == ()
        assert set(train.inputs) == {"data"}
        assert cut.parents == (train.name,)
        assert cut.inputs["parent"] == train.identity
        assert tune.parents == (cut.name,)
        assert tune.inputs["parent"] == cut.identity
        assert cell.network == tune.identity

    def test_what_unpooling_does_with_ties_is_no_matter_of_the_networks(
        self, planned, networks, table, experiment
    ):
        chains, torchs = networks(table), planned(table)
        experiment["model"]["pool_ties"] = "first"
        assert networks(table) == chains
        results = [
            {shard.identity for shard in plan.shards if shard.stage in ("evaluate", "explain")}
            for plan in (torchs, planned(table))
        ]
        assert not results[0] & results[1]

    def test_seeds_share_no_network(self, networks, table, experiment):
        experiment["seeds"] = [0, 1]
        chains = networks(table)
        assert not {*chains[0.0, 0], *chains[0.5, 0]} & {*chains[0.0, 1], *chains[0.5, 1]}

    def test_experiments_that_explain_differently_share_their_networks(
        self, planned, of_stage, table, experiment
    ):
        other = copy.deepcopy(experiment)
        other["name"] = "other"
        other["explain"]["saliency"] = {"name": "grad_cam", "layer": "bottleneck"}
        other["tasks"][1]["bins"] = 10
        table["experiment"].append(other)
        plan = planned(table)
        assert len(plan.cells) == 2 * 2
        assert len(of_stage(plan, "train")) == 3
        assert len(of_stage(plan, "segment")) == 1
        assert len(of_stage(plan, "evaluate")) == len(of_stage(plan, "explain")) / 3 == 4

    def test_methods_share_the_training_of_sparsity_0(self, networks, table, experiment):
        before = networks(table)
        experiment["pruning"] = {"name": "netslim", "penalty": 0.5, "tune_iterations": 1}
        after = networks(table)
        assert after[0.0, 0] == before[0.0, 0]
        assert not {*after[0.5, 0]} & {*before[0.5, 0]}

    def test_tuning_as_long_as_training_may_be_written_out(self, networks, table, experiment):
        del experiment["pruning"]["tune_iterations"]
        left_out = networks(table)
        experiment["pruning"]["tune_iterations"] = experiment["training"]["iterations"]
        assert networks(table) == left_out

    def test_floor_changes_the_cut_but_not_the_training_before_it(
        self, networks, table, experiment
    ):
        before = networks(table)[0.5, 0]
        experiment["pruning"]["floor"] = 2
        after = networks(table)[0.5, 0]
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert after[2] != before[2]


class TestIdentity:
    def test_it_is_the_digest_of_spec_and_inputs(self, network, table):
        shard = network(table)
        assert shard.identity == digest({"spec": shard.spec, "inputs": shard.inputs})
        assert re.fullmatch("[0-9a-f]{64}", shard.identity)

    def test_name_is_the_stage_and_twelve_digits(self, network, table):
        for stage in ("segment", "train", "prune"):
            shard = network(table, stage)
            assert shard.name == f"{stage}-{shard.identity[:12]}"
            assert shard.shared
            assert shard.place == {}

    def test_bytes_of_the_data_are_part_of_every_identity(self, planned, table, monkeypatch):
        before = {shard.name for shard in planned(table).shards}
        prepared_again = dataclasses.replace(Rooms(name="rooms").info(), sha256="5" * 64)
        monkeypatch.setattr(planning, "dataset_info", lambda *_: prepared_again)
        assert before & {shard.name for shard in planned(table).shards} == {"reduce"}

    def test_data_without_a_hash_makes_a_provisional_identity(self):
        info = dataclasses.replace(Rooms(name="rooms").info(), sha256=None)
        assert data_identity(info) == "provisional-rooms"

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("training", {"iterations": 13, "batch": 4}),
            ("training", {"iterations": 12, "batch": 5}),
            ("training", {"iterations": 12, "batch": 4, "flip": True}),
            ("training", {"iterations": 12, "batch": 4, "accumulate": 2}),
            ("training", {"epochs": 2, "batch": 4}),
            ("training", {"iterations": 12, "batch": 4, "learning_rate": 0.1}),
            ("model", {"name": "segnet_mtan", "width": 0.125}),
            ("data", {"name": "rooms", "size": [32, 64], "train": 16, "test": 9}),
            ("data", {"name": "rooms", "size": [64, 32], "train": 16, "test": 8}),
            ("tasks", [{"name": "depth"}, {"name": "segmentation"}]),
            ("tasks", [{"name": "depth"}]),
            ("seeds", [1]),
        ],
    )
    def test_whatever_changes_the_weights_changes_it(self, network, table, experiment, key, value):
        before = network(table).identity
        experiment[key] = value
        assert network(table).identity != before

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("name", "other"),
            ("seeds", [0, 1]),
            ("sparsities", [0.0]),
            ("explain", {"images": 1}),
            ("tasks", [{"name": "segmentation"}, {"name": "depth", "bins": 3}]),
            ("weighting", {"name": "equal"}),
        ],
    )
    def test_whatever_does_not_change_the_weights_leaves_it(
        self, network, table, experiment, key, value
    ):
        before = network(table)
        experiment[key] = value
        assert network(table) == before

    def test_spec_of_a_cut_holds_no_training(self, network, table):
        assert set(network(table, "prune").spec) == {
            "stage", "phase", "method", "data", "model", "tasks", "seed", "numerics", "sparsity",
        }  # fmt: skip

    def test_spec_of_a_training_holds_all_that_it_depends_on(self, network, table):
        assert set(network(table).spec) == {
            "stage", "phase", "method", "data", "model", "tasks", "seed", "numerics", "sparsity",
            "training", "weighting", "init",
        }  # fmt: skip

    def test_tune_is_as_long_as_the_method_says(self, planned, of_stage, table):
        lengths = {
            shard.spec["phase"]: shard.spec["training"]["iterations"]
            for shard in of_stage(planned(table), "train")
        }
        assert lengths == {"train": 12, "tune": 6}

    def test_epochs_are_iterations_by_the_time_they_are_planned(self, planned, table, experiment):
        # 16 images in batches of 4: four steps an epoch.
        experiment["training"] = {
            "epochs": 3, "batch": 4, "decay_every": 2, "scales": [1.0, 1.5],
        }  # fmt: skip
        by_epochs = planned(table)
        experiment["training"] = {
            "iterations": 12, "batch": 4, "decay_every": 8, "scales": [1.0, 1.5],
        }  # fmt: skip
        assert planned(table) == by_epochs

    def test_defaults_stand_in_the_spec(self, network, table):
        training = network(table).spec["training"]
        assert (training["learning_rate"], training["version"]) == (1e-4, 1)
        assert network(table).spec["data"] == canonical(
            Rooms(name="rooms", size=(32, 64), train=16, test=8)
        )


class TestNumerics:
    def test_threads_are_part_of_every_computing_identity(self, planned, table):
        before = {shard.name for shard in planned(table).shards}
        table["numerics"] = {"threads": 2}
        assert before & {shard.name for shard in planned(table).shards} == {"reduce"}

    def test_irof_batch_is_part_of_explain_alone(self, planned, of_stage, table):
        before = planned(table)
        table["numerics"] = {"irof_batch": 17}
        after = planned(table)
        for stage in ("segment", "train", "prune", "evaluate"):
            assert of_stage(after, stage) == of_stage(before, stage)
        assert [shard.spec["irof_batch"] for shard in of_stage(after, "explain")] == [17] * 6
        assert not {shard.name for shard in of_stage(after, "explain")} & {
            shard.name for shard in of_stage(before, "explain")
        }

    def test_forward_is_part_of_explain_alone(self, planned, of_stage, table, experiment):
        before = planned(table)
        experiment["explain"]["forward"] = {"folded": True}
        after = planned(table)
        for stage in ("segment", "train", "prune", "evaluate"):
            assert of_stage(after, stage) == of_stage(before, stage)
        forwards = [shard.spec["forward"] for shard in of_stage(after, "explain")]
        assert forwards == [canonical(Forward(folded=True))] * 6
        assert not {shard.name for shard in of_stage(after, "explain")} & {
            shard.name for shard in of_stage(before, "explain")
        }

    def test_auto_is_resolved_when_the_plan_is_written(self, planned, of_stage, table):
        automatic = planned(table)
        batch = of_stage(automatic, "explain")[0].spec["irof_batch"]
        table["numerics"] = {"irof_batch": batch}
        assert planned(table).shards == automatic.shards

    def test_resources_change_nothing_but_themselves(self, planned, table, tmp_path):
        before = planned(table)
        table["resources"] = {
            "data": {"rooms": "here"}, "loader_workers": 3, "checkpoint_every_s": 1.0,
            "walltime_min": 1, "memory_gb": 1.0, "gpus": 1,
        }  # fmt: skip
        after = planned(table)
        assert dataclasses.replace(after, resources=before.resources) == before
        assert after.resources["data"] == {"rooms": str(tmp_path / "here")}
