from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.runs import find_run, list_runs, run_workspace
from mtljobs.errors import UserError
from mtljobs.ledger.paths import open_workspace


class TestOpenWorkspace:
    def test_folder_that_is_named_counts_first(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MTLJOBS_WORKSPACE", "/elsewhere")
        assert open_workspace(tmp_path).root == tmp_path

    def test_variable_counts_where_no_folder_is_named(self, monkeypatch):
        monkeypatch.setenv("MTLJOBS_WORKSPACE", "/scratch/me")
        assert open_workspace(None).root == Path("/scratch/me")

    @pytest.mark.parametrize("empty", [True, False])
    def test_runs_beside_the_user_is_the_default(self, tmp_path, monkeypatch, empty):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MTLJOBS_WORKSPACE", raising=False)
        if empty:
            monkeypatch.setenv("MTLJOBS_WORKSPACE", "")
        assert open_workspace(None).root == tmp_path / "runs"


class TestPropose:
    def test_run_has_the_name_of_the_grid_file(self, workspace, grid_file):
        proposal = propose(str(grid_file(name="my-study")), workspace=workspace)
        assert proposal.run == workspace.run("my-study")

    def test_run_may_have_another_name(self, workspace, grid_file):
        assert propose(str(grid_file()), workspace=workspace, run_name="b").run.name == "b"

    def test_file_whose_name_cannot_be_a_runs_asks_for_one(self, workspace, grid_file):
        with pytest.raises(UserError, match=r"'my study' cannot name a run.*--run NAME"):
            propose(str(grid_file(name="my study")), workspace=workspace)
        assert propose(
            str(grid_file(name="my study")), workspace=workspace, run_name="a"
        ).plan.cells

    def test_nothing_is_written(self, workspace, grid_file):
        propose(str(grid_file()), workspace=workspace)
        assert not workspace.root.exists()

    def test_folders_of_data_sets_count_from_the_grid_file(
        self, workspace, grid_file, tmp_path, monkeypatch
    ):
        path = grid_file(("seeds = [0]", "seeds = [0]\n[resources.data]\ndesk = 'photos'"))
        text = path.read_text()
        explain = next(line for line in text.splitlines() if line.startswith("explain"))
        text = text.replace(explain, "").replace("seeds = [0]", f"seeds = [0]\n{explain}")
        path.write_text(text)
        monkeypatch.chdir("/")
        plan = propose(str(path), workspace=workspace).plan
        assert plan.resources["data"] == {"desk": str(tmp_path / "photos")}


class TestFindRun:
    def test_run_is_found_by_name(self, submitted, workspace):
        run = submitted("a")
        assert find_run("a", workspace) == run

    def test_run_is_found_by_path_from_any_workspace(self, submitted, tmp_path, monkeypatch):
        run = submitted("a")
        elsewhere = open_workspace(tmp_path / "elsewhere")
        assert find_run(str(run.root), elsewhere) == run
        monkeypatch.chdir(run.root.parent)
        assert find_run("./a", elsewhere) == run

    def test_run_is_found_from_inside_of_it(self, submitted, workspace, monkeypatch):
        run = submitted("a")
        monkeypatch.chdir(run.plans)
        found = find_run("..", open_workspace(None))
        assert (found.name, run_workspace(found)) == ("a", workspace)

    def test_link_to_a_run_keeps_its_workspace(self, submitted, workspace, tmp_path):
        run = submitted("a")
        link = tmp_path / "link"
        link.symlink_to(run.root)
        assert run_workspace(find_run(str(link), open_workspace(tmp_path))) == workspace

    def test_last_submitted_run_is_the_default(self, submitted, workspace):
        for name, submitted_at in (("a", 1000), ("b", 3000), ("c", 2000)):
            plan = submitted(name).plans / "0001.jsonl"
            os.utime(plan, (submitted_at, submitted_at))
        assert find_run(None, workspace).name == "b"

    def test_growing_a_run_makes_it_the_last_one(self, submitted, workspace):
        for name, submitted_at in (("a", 1000), ("b", 3000)):
            os.utime(submitted(name).plans / "0001.jsonl", (submitted_at, submitted_at))
        submitted("a", ("seeds = [0]", "seeds = [0, 1]"))
        assert find_run(None, workspace).name == "a"

    def test_misspelt_run_is_answered_with_the_nearest(self, submitted, workspace):
        submitted("pilot")
        with pytest.raises(UserError, match=r"no run 'piolt' in .*did you mean 'pilot'\?"):
            find_run("piolt", workspace)

    def test_empty_workspace_says_how_to_begin(self, workspace):
        with pytest.raises(UserError, match=r"no run in .*mtljobs submit --grid demo"):
            find_run(None, workspace)

    def test_folder_that_is_no_run_is_refused(self, workspace, tmp_path):
        with pytest.raises(UserError, match="no run"):
            find_run(str(tmp_path), workspace)


class TestListRuns:
    def test_submission_that_was_killed_at_its_beginning_is_no_run_yet(self, submitted, workspace):
        run = submitted("b")
        (workspace.root / "a" / "plans").mkdir(parents=True)
        assert list_runs(workspace) == [run]
        assert find_run(None, workspace) == run

    def test_copy_of_a_run_may_have_any_name(self, submitted, workspace):
        run = submitted("b")
        shutil.copytree(run.root, workspace.root / "b (copy)")
        assert [found.name for found in list_runs(workspace)] == ["b", "b (copy)"]
        assert find_run("b (copy)", workspace).plans.is_dir()

    def test_workspace_that_does_not_exist_has_no_runs(self, workspace):
        assert list_runs(workspace) == []
