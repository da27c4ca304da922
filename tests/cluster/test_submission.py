from __future__ import annotations

import dataclasses
import importlib.util
import os

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.states import count_slots
from mtljobs.cluster.submission import choose_executor, freeze, require_compute
from mtljobs.errors import GridError, MissingExtraError, StaleSlotError, UserError
from mtljobs.plan.frozen import read_newest


@pytest.fixture
def proposal(workspace, grid_file):
    return propose(str(grid_file()), workspace=workspace)


@pytest.fixture
def light(monkeypatch):
    """An installation without the packages that compute."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec",
        lambda name: None if name in {"torch", "torchvision", "skimage"} else find(name),
    )  # fmt: skip


@pytest.fixture
def complete(monkeypatch):
    """An installation that has every package."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH that holds no command but those that are put there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)

    return put


class TestFreeze:
    def test_proposal_becomes_the_runs_plan(self, proposal):
        assert freeze(proposal) == proposal.run.plans / "0001.jsonl"
        assert read_newest(proposal.run) == proposal.plan

    def test_freezing_twice_writes_once(self, proposal):
        assert freeze(proposal) == freeze(proposal)
        assert len(list(proposal.run.plans.iterdir())) == 1

    def test_submitting_twice_writes_once(self, submitted):
        assert submitted() == submitted()
        assert len(list(submitted().plans.iterdir())) == 1

    def test_data_that_is_known_by_counts_alone_is_refused(self, proposal):
        plan = dataclasses.replace(proposal.plan, provisional=True)
        with pytest.raises(GridError, match="`mtljobs data prepare`"):
            freeze(dataclasses.replace(proposal, plan=plan))
        assert not proposal.run.root.exists()

    def test_stale_cells_are_refused_and_the_run_stays_as_it_was(
        self, submitted, workspace, grid_file
    ):
        run = submitted()
        before = read_newest(run)
        with pytest.raises(StaleSlotError, match=r"experiment\.training\.iterations .*--run NEW"):
            freeze(
                propose(str(grid_file(("iterations = 12", "iterations = 13"))), workspace=workspace)
            )
        assert read_newest(run) == before

    def test_slower_one_of_two_submissions_is_refused(self, workspace, grid_file):
        one = propose(str(grid_file(("seeds = [0]", "seeds = [0, 1]"))), workspace=workspace)
        two = propose(str(grid_file(("seeds = [0]", "seeds = [0, 2]"))), workspace=workspace)
        freeze(two)
        with pytest.raises(UserError, match=r"another submission .* submit again"):
            freeze(one)
        again = propose(str(grid_file(("seeds = [0]", "seeds = [0, 1]"))), workspace=workspace)
        freeze(again)
        assert read_newest(again.run).layouts["study"].seeds == (0, 2, 1)


class TestExecutor:
    @pytest.mark.parametrize("name", ["auto", "slurm"])
    def test_slurm_is_taken_where_sbatch_exists_also_by_a_light_install(
        self, name, commands, light
    ):
        commands("sbatch")
        assert choose_executor(name) == "slurm"

    def test_slurm_is_refused_where_there_is_none(self, commands, complete):
        with pytest.raises(UserError, match=r"no `sbatch` on the PATH.*--executor local"):
            choose_executor("slurm")

    @pytest.mark.parametrize(("name", "command"), [("auto", "squeue"), ("local", "sbatch")])
    def test_this_machine_is_taken_without_sbatch_or_where_it_is_asked_for(
        self, name, command, commands, complete
    ):
        commands(command)
        assert choose_executor(name) == "local"

    @pytest.mark.parametrize("name", ["auto", "local"])
    def test_machine_that_cannot_compute_is_refused(self, name, commands, light):
        with pytest.raises(MissingExtraError):
            choose_executor(name)

    def test_what_is_missing_is_named_with_what_to_install(self, light):
        with pytest.raises(MissingExtraError) as caught:
            require_compute()
        assert "torch, torchvision, skimage is missing" in str(caught.value)
        assert "pip install 'mtljobs[compute]'" in str(caught.value)


class TestSlots:
    @pytest.mark.parametrize(
        ("threads", "cpus", "slots"), [(1, 4, 4), (2, 4, 2), (2, 5, 2), (4, 2, 1), (1, 1, 1)]
    )
    def test_shards_share_the_cores_by_their_threads(
        self, workspace, grid_file, threads, cpus, slots
    ):
        grid = grid_file()
        with grid.open("a") as file:
            file.write(f"\n[numerics]\nthreads = {threads}\n")
        assert count_slots(propose(str(grid), workspace=workspace).plan, cpus) == slots

    def test_all_cores_that_this_process_may_use_are_the_default(self, proposal):
        assert count_slots(proposal.plan, None) == len(os.sched_getaffinity(0))
