"""What commands say of runs that are there."""

from __future__ import annotations

import os

import pytest

from mtljobs.cli.show import store_size
from mtljobs.ledger.paths import create_folder, log_file
from mtljobs.plan.frozen import read_newest


class TestExitCode:
    @pytest.mark.parametrize("command", ["status", "wait", "status --json"])
    def test_it_is_0_for_complete_runs_1_for_failed_and_3_for_unfinished_ones(
        self, mtljobs, submitted, finish, attempt, command
    ):
        run = submitted()
        assert mtljobs(command).code == 3
        attempt(run, "train", "failed", "boom")
        assert mtljobs(command).code == 1
        finish(run)
        assert mtljobs(command).code == 3
        attempt(run, "reduce", "done")
        assert mtljobs(command).code == 0

    def test_preempted_shards_are_not_failed(self, mtljobs, submitted, attempt):
        run = submitted()
        attempt(run, "train", "preempted", "")
        assert mtljobs("status").code == 3


class TestStatus:
    def test_each_stage_has_a_line(self, mtljobs, submitted, finish, attempt):
        run = submitted()
        finish(run, "segment")
        attempt(run, "train", "failed", "Traceback (most recent call last):\nValueError: boom")
        lines = [line.split() for line in mtljobs("status").out.splitlines()]
        shown = {line[0]: [word for word in line[1:] if "━" not in word] for line in lines}
        assert shown["run"] == ["study"]
        assert shown["segment"] == ["1", "of", "1"]
        assert shown["train"] == ["0", "of", "3", "1", "2"]  # 1 failed, 2 to do
        assert shown["explain"] == ["0", "of", "4", "4"]

    def test_failure_is_shown_with_its_reason(self, mtljobs, submitted, attempt):
        run = submitted()
        name = attempt(run, "train", "failed", "Traceback ...\nValueError: boom\n").shard
        attempt(run, "segment", "out of memory")
        out = mtljobs("status").out
        assert f"failed   {name}: ValueError: boom" in out
        assert "no word of the worker; was it killed?" in out

    def test_running_shard_is_shown_with_the_last_line_of_its_log(
        self, mtljobs, submitted, attempt
    ):
        run = submitted()
        made = attempt(run, "train")
        create_folder(run.logs)
        log = log_file(run, made.shard, made.number)
        log.write_text("2026-11-21 04:00:00,000 first\n2026-11-21 04:00:05,000 5 of 12 steps\n")
        assert f"running  {made.shard}  5 of 12 steps" in mtljobs("status").out

    def test_stopped_run_says_how_to_go_on(self, mtljobs, submitted, attempt, finish):
        run = submitted()
        assert "nothing works on it; `mtljobs resume` goes on" in mtljobs("status").out
        attempt(run, "train")
        assert "resume" not in mtljobs("status").out
        finish(run)
        attempt(run, "reduce", "done")
        assert "resume" not in mtljobs("status").out
        assert "complete" in mtljobs("status").out

    def test_time_left_is_unknown_before_the_first_shard_is_done(self, mtljobs, submitted):
        submitted()
        assert "time left unknown" in mtljobs("status").out

    def test_json_is_complete(self, mtljobs, submitted, attempt, finish):
        run = submitted()
        finish(run, "segment")
        name = attempt(run, "train", "failed", "boom").shard
        answer = mtljobs("status --json").json
        assert (answer["run"], answer["folder"]) == ("study", str(run.root))
        assert (answer["complete"], answer["seconds_left"]) == (False, None)
        assert answer["stages"]["segment"] == {"done": 1}
        plan = read_newest(run)
        assert [shard["name"] for shard in answer["shards"]] == [s.name for s in plan.shards[:-1]]
        shard = next(shard for shard in answer["shards"] if shard["name"] == name)
        assert (shard["stage"], shard["state"], shard["parents"]) == ("train", "failed", [])
        assert len(shard["identity"]) == 64
        (made,) = shard["attempts"]
        assert (made["number"], made["state"], made["detail"]) == (1, "failed", "boom")
        assert made["process"]["pid"] == os.getpid()
        assert made["device"] == "cpu"

    def test_empty_detail_of_many_failures_is_not_repeated_without_end(
        self, mtljobs, submitted, attempt
    ):
        run = submitted()
        for shard in read_newest(run).shards[:7]:
            attempt(run, shard.name, "failed", "boom")
        out = mtljobs("status").out
        assert out.count("boom") == 5
        assert "and 2 more failed" in out


class TestWhichRun:
    @pytest.fixture
    def runs(self, submitted):
        """Two runs, of which `older` was submitted first."""
        found = [submitted("older"), submitted("newer")]
        for run, submitted_at in zip(found, (1000, 2000), strict=True):
            os.utime(run.plans / "0001.jsonl", (submitted_at, submitted_at))
        return found

    def test_it_is_the_one_submitted_last(self, mtljobs, runs):
        assert "run newer" in mtljobs("status").out

    def test_it_may_be_named(self, mtljobs, runs):
        assert "run older" in mtljobs("status older").out

    def test_it_may_be_a_path_also_in_another_workspace(self, mtljobs, runs, tmp_path):
        answer = mtljobs(f"status {runs[0].root} --workspace {tmp_path / 'elsewhere'}")
        assert "run older" in answer.out

    def test_workspace_may_be_named(self, mtljobs, runs, tmp_path, monkeypatch):
        monkeypatch.setenv("MTLJOBS_WORKSPACE", "/nowhere")
        assert "run newer" in mtljobs(f"status -w {tmp_path / 'runs'}").out


class TestList:
    def test_empty_workspace_has_no_runs(self, mtljobs, workspace):
        answer = mtljobs("list")
        assert (answer.code, answer.out) == (0, f"no runs in {workspace.root}\n")
        assert mtljobs("list --json").json == []

    def test_runs_stand_with_what_is_done(self, mtljobs, submitted, finish, attempt, grid_file):
        run = submitted("a")
        submitted("b")
        finish(run, "segment")  # shared, so done in both
        finish(run, "evaluate")
        attempt(run, "train", "failed")
        lines = [line.split() for line in mtljobs("list").out.splitlines()]
        assert lines[0] == ["run", "grid", "cells", "shards", "done", "running", "failed"]
        answer = mtljobs("list --json").json
        assert answer[0] == {
            "run": "a", "grid": str(grid_file()), "cells": 2, "shards": 11, "done": 3,
            "running": 0, "failed": 1, "complete": False,
        }  # fmt: skip
        assert (answer[1]["run"], answer[1]["done"], answer[1]["failed"]) == ("b", 1, 0)

    def test_killed_submission_does_not_hide_the_other_runs(self, mtljobs, submitted, workspace):
        submitted("b")
        (workspace.root / "a" / "plans").mkdir(parents=True)
        assert [run["run"] for run in mtljobs("list --json").json] == ["b"]

    def test_broken_plan_of_one_run_is_named_and_hides_no_other(self, mtljobs, submitted):
        broken = submitted("a").plans / "0001.jsonl"
        submitted("b")
        broken.write_text("{")
        answer = mtljobs("list --json")
        assert [run["run"] for run in answer.json] == ["b"]
        assert "a: " in answer.err
        assert str(broken) in answer.err


class TestLogs:
    @pytest.fixture
    def logged(self, submitted, attempt):
        """A run whose first training was tried twice."""
        run = submitted()
        create_folder(run.logs)
        for number in (1, 2):
            made = attempt(run, "train", "failed")
            log_file(run, made.shard, number).write_text(f"attempt {number} [bold]of 2[/]\n")
        return made.shard

    def test_last_attempt_of_the_shard_worked_on_last_is_the_default(self, mtljobs, logged):
        assert mtljobs("logs").out in {f"attempt {n} [bold]of 2[/]\n" for n in (1, 2)}

    def test_shard_and_attempt_may_be_named(self, mtljobs, logged):
        assert mtljobs(f"logs {logged}").out == "attempt 2 [bold]of 2[/]\n"
        assert mtljobs(f"logs {logged[:-3]} --attempt 1").out == "attempt 1 [bold]of 2[/]\n"
        assert mtljobs(f"logs {logged} --run study").out == "attempt 2 [bold]of 2[/]\n"

    def test_beginning_of_many_names_is_refused(self, mtljobs, logged):
        answer = mtljobs("logs explain")
        assert answer.code == 2
        assert "4 shards begin with 'explain'" in answer.err


def test_cancel_asks_nobody_where_nobody_works(mtljobs, submitted):
    submitted()
    answer = mtljobs("cancel")
    assert (answer.code, answer.out) == (
        0, "asked 0 processes of the run study to stop after a checkpoint\n",
    )  # fmt: skip


def test_wait_gives_up_after_its_timeout(mtljobs, submitted, attempt):
    attempt(submitted(), "train")
    assert mtljobs("wait --timeout 0").code == 3


def test_a_store_says_what_it_takes_for_a_cell(submitted):
    run = submitted()
    (run.store / "study").mkdir(parents=True)
    (run.store / "study" / "c.0").write_bytes(bytes(4_000_000))
    assert store_size(run) == "4 MB in 3 files and folders; a cell 2 MB in 1"
