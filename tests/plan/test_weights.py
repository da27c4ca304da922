"""Weights files that a grid brings: what they change, and where workers find them."""

from __future__ import annotations

import copy
import hashlib

import pytest

from mtljobs.errors import GridError, WeightsError
from mtljobs.plan.planning import compare_plans, grow_plan
from mtljobs.plan.weights import check_weights

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def weights(tmp_path):
    """A file beside the grid, as the grid names it."""
    path = tmp_path / "dense.pth"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def with_init(experiment, weights):
    """Adds `init` to the experiment of `table`."""

    def add(file=weights.name, sha256=SHA256):
        experiment["init"] = {"file": file, "sha256": sha256}

    return add


def networks(plan):
    return {shard.name for shard in plan.shards if "phase" in shard.spec}


class TestIdentity:
    def test_initial_weights_make_other_networks(self, planned, table, with_init):
        before = networks(planned(table))
        with_init()
        assert not networks(planned(table)) & before

    def test_spec_of_a_first_phase_says_what_and_not_where(
        self, planned, of_stage, table, with_init
    ):
        with_init()
        plan = planned(table)
        firsts = [shard for shard in of_stage(plan, "train") if not shard.parents]
        assert [shard.spec["init"] for shard in firsts] == [{"sha256": SHA256}] * 2
        later = [shard for shard in plan.shards if shard.parents]
        assert not any("init" in shard.spec for shard in later)

    def test_moved_file_changes_no_identity(self, planned, table, weights, with_init):
        with_init()
        before = planned(table)
        weights.rename(weights.with_name("moved.pth"))
        with_init("moved.pth")
        after = planned(table)
        assert after.shards == before.shards
        assert not compare_plans(before, planned(table, previous=before)).stale

    def test_other_weights_are_stale_by_name(self, planned, table, with_init):
        with_init()
        first = planned(table)
        with_init(sha256="5" * 64)
        changes = compare_plans(first, planned(table, previous=first))
        assert set(changes.stale.values()) == {("experiment.init.sha256",)}


class TestPlace:
    def test_relative_path_counts_from_the_grid_file(self, planned, table, weights, with_init):
        with_init()
        assert planned(table).resources["weights"] == {SHA256: str(weights)}

    def test_absolute_path_stays(self, planned, table, weights, with_init):
        with_init(str(weights))
        assert planned(table).resources["weights"] == {SHA256: str(weights)}

    def test_resources_may_say_where_the_file_is(self, planned, table, weights, experiment):
        experiment["init"] = {"sha256": SHA256}
        table["resources"] = {"weights": {SHA256: weights.name}}
        assert planned(table).resources["weights"] == {SHA256: str(weights)}

    def test_files_of_a_run_add_up(self, planned, table, weights, with_init, experiment):
        with_init()
        first = planned(table)
        other = copy.deepcopy(experiment) | {"name": "other"}
        path = weights.with_name("other.pth")
        path.write_bytes(b"others")
        other["init"] = {"file": path.name, "sha256": "5" * 64}
        table["experiment"] = [other]
        grown = grow_plan(first, planned(table, previous=first))
        assert grown.resources["weights"] == {SHA256: str(weights), "5" * 64: str(path)}

    def test_missing_file_is_refused_with_its_whole_path(self, planned, table, tmp_path, with_init):
        with_init("nowhere.pth")
        with pytest.raises(WeightsError) as caught:
            planned(table)
        for part in ("experiment 'study': init names", str(tmp_path / "nowhere.pth"),
                     "counts from the grid file"):  # fmt: skip
            assert part in str(caught.value)

    def test_sum_without_a_place_is_refused(self, planned, table, with_init):
        with_init(file="")
        with pytest.raises(GridError, match=r"init says no file; write init = \{ file = "):
            planned(table)


class TestSum:
    def test_file_that_the_grid_means_is_taken(self, weights):
        check_weights({SHA256: str(weights)})

    def test_another_file_is_refused_with_both_sums(self, weights):
        with pytest.raises(WeightsError) as caught:
            check_weights({"5" * 64: str(weights)})
        for part in (str(weights), f"sha256 is {SHA256}", f"expected {'5' * 64}"):
            assert part in str(caught.value)

    def test_file_that_went_since_the_plan_is_named(self, tmp_path):
        with pytest.raises(WeightsError, match=r"gone\.pth cannot be read: No such file"):
            check_weights({SHA256: str(tmp_path / "gone.pth")})
