"""How far a run is, from files that nobody but this test wrote."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mtljobs.cluster.states import FAILED, ShardState, read_states
from mtljobs.errors import UserError
from mtljobs.ledger import attempts
from mtljobs.ledger.attempts import read_attempts
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import create_folder


@pytest.fixture
def states(run, shards):
    """The states of the run's shards now, by their short names."""

    def read():
        found = read_states(run).shards
        return {key: found[shard.name].state for key, shard in shards.items()}

    return read


def change(started, **values):
    """Make an attempt say something else of itself."""
    replace_file(started.path, to_json(read_json(started.path) | values))


def leave_silent(started):
    """Make an attempt look as if it was last renewed six minutes ago, on another node."""
    elsewhere = dataclasses.replace(ProcessIdentity.current(), host="another-node", job=None)
    change(started, process=elsewhere.to_json())
    then = time.time() - 360
    os.utime(started.path, (then, then))


class TestStates:
    def test_shards_without_parents_are_ready_and_all_others_blocked(self, states):
        assert Counter(states().values()) == {"ready": 3, "blocked": 8}
        assert {key for key, state in states().items() if state == "ready"} == {
            "segment", "dense", "train",
        }  # fmt: skip

    def test_shard_is_ready_once_all_of_its_parents_are_done(self, states, finish):
        finish("dense")
        assert states()["dense"] == "done"
        assert states()["evaluate-dense"] == "ready"
        assert states()["explain-dense-0"] == "blocked"  # the superpixels are missing
        finish("segment")
        assert states()["explain-dense-0"] == states()["explain-dense-1"] == "ready"
        assert states()["cut"] == "blocked"

    def test_shard_in_the_store_is_done_though_its_results_have_moved(
        self, run, shards, states, finish
    ):
        finish("evaluate")
        committed = run.committed / shards["evaluate"].name
        create_folder(run.ledger)
        (committed / "record.json").rename(run.ledger / f"{shards['evaluate'].name}.json")
        committed.rmdir()
        assert states()["evaluate"] == "done"

    @pytest.mark.parametrize(
        "outcome",
        ["preempted", "waiting", "cancelled", "failed", "timed out", "out of memory", "node lost"],
    )
    def test_shard_is_what_its_last_attempt_came_to(self, states, attempt, outcome):
        attempt("dense", outcome)
        assert states()["dense"] == outcome

    @pytest.mark.parametrize("outcome", ["done", "duplicate"])
    def test_attempt_that_says_done_without_a_record_is_to_be_done_again(
        self, states, attempt, outcome
    ):
        # Its results were withdrawn, say because their bytes were wrong.
        attempt("dense", outcome)
        attempt("cut", outcome)
        assert (states()["dense"], states()["cut"]) == ("ready", "blocked")

    def test_record_counts_more_than_any_attempt(self, states, attempt, finish):
        attempt("dense", "failed")
        attempt("dense")
        finish("dense")
        assert states()["dense"] == "done"

    def test_newest_attempt_counts(self, states, attempt):
        for outcome in ("failed", "preempted", "failed", "waiting"):
            attempt("dense", outcome)
        assert states()["dense"] == "waiting"

    def test_tenth_attempt_is_newer_than_the_ninth(self, states, attempt):
        for _ in range(9):
            attempt("dense", "failed")
        attempt("dense", "preempted")
        assert states()["dense"] == "preempted"

    def test_attempt_without_an_end_is_running_while_it_gives_signs(self, states, attempt):
        attempt("dense")
        assert states()["dense"] == "running"

    def test_older_attempt_that_still_runs_keeps_the_shard_running(self, states, attempt):
        attempt("dense")
        attempt("dense", "waiting")
        assert states()["dense"] == "running"

    def test_attempt_that_fell_silent_has_vanished(self, states, attempt):
        leave_silent(attempt("dense"))
        assert states()["dense"] == "vanished"

    def test_attempt_whose_process_is_gone_has_vanished_at_once(self, states, attempt):
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        status = Path(f"/proc/{process.pid}/stat").read_text()
        ticks = status.rpartition(")")[2].split()[19]
        started = attempt("dense")
        gone = dataclasses.replace(ProcessIdentity.current(), pid=process.pid, started=ticks)
        change(started, process=gone.to_json())
        assert states()["dense"] == "running"
        process.communicate(b"\n")
        assert states()["dense"] == "vanished"

    def test_host_knows_the_cause_where_the_worker_could_not_write_it(
        self, run, shards, states, attempt
    ):
        attempt("dense")
        attempts.report_from_host(
            run.attempts, shards["dense"].name, 1, exit_code=None, signal=9, cause="out of memory"
        )
        assert states()["dense"] == "out of memory"

    def test_attempts_of_shards_that_are_done_are_not_read(
        self, run, shards, attempt, finish, monkeypatch
    ):
        attempt("dense", "done")
        attempt("train", "preempted")
        finish("dense")
        read = []
        original = attempts.read_json
        monkeypatch.setattr(attempts, "read_json", lambda path: read.append(path) or original(path))
        found = read_states(run).shards
        assert {path.name.split(".")[0] for path in read} == {shards["train"].name}
        assert found[shards["dense"].name].last.state == "done"

    def test_shard_that_is_committed_while_states_are_read_is_done(
        self, states, attempt, finish, monkeypatch
    ):
        begun = attempt("dense")
        original = attempts.read_json

        def commit_first(path):
            if path == begun.path:
                monkeypatch.undo()
                finish("dense")
                begun.end("done", "")
            return original(path)

        monkeypatch.setattr(attempts, "read_json", commit_first)
        assert states()["dense"] == "done"

    def test_run_without_a_plan_says_how_to_begin(self, workspace):
        with pytest.raises(UserError, match="nothing was submitted to the run 'empty'"):
            read_states(workspace.run("empty"))

    def test_newest_plan_counts(self, run, submitted):
        before = len(read_states(run).shards)
        submitted("study", ("seeds = [0]", "seeds = [0, 1]"))
        assert len(read_states(run).shards) == 2 * before - 1  # the superpixels are shared


class TestRunState:
    def test_run_is_complete_once_its_shards_are_done_and_reduced(self, run, shards, finish):
        assert not any(name.startswith("reduce") for name in read_states(run).shards)
        finish(*shards)
        assert read_states(run).all_done
        assert not read_states(run).is_complete
        reduction = attempts.begin(run.attempts, "reduce", device="cpu")
        assert not read_states(run).is_complete
        reduction.end("done", "")
        assert read_states(run).is_complete

    def test_reduction_older_than_the_plan_does_not_count(self, run, shards, finish):
        finish(*shards)
        attempts.begin(run.attempts, "reduce", device="cpu").end("done", "")
        later = time.time() + 10
        os.utime(read_states(run).plan_path, (later, later))
        assert not read_states(run).is_complete

    def test_reduction_older_than_what_waits_for_a_merge_does_not_count(self, run, shards, finish):
        finish(*shards)
        attempts.begin(run.attempts, "reduce", device="cpu").end("done", "")
        later = time.time() + 10
        os.utime(run.committed / shards["evaluate"].name, (later, later))
        assert read_states(run).all_done
        assert not read_states(run).is_complete

    def test_failed_and_running_shards_are_told_apart(self, run, shards, attempt):
        attempt("dense", "failed")
        attempt("segment")
        attempt("train", "preempted")
        state = read_states(run)
        assert [found.shard for found in state.failed] == [shards["dense"]]
        assert [found.shard for found in state.running] == [shards["segment"]]

    def test_counts_are_per_stage_in_the_order_of_the_work(self, run, attempt, finish):
        finish("segment", "dense")
        attempt("train", "failed")
        counts = read_states(run).counts()
        assert list(counts) == ["segment", "train", "prune", "evaluate", "explain"]
        assert counts == {
            "segment": {"done": 1},
            "train": {"done": 1, "failed": 1, "blocked": 1},
            "prune": {"blocked": 1},
            "evaluate": {"ready": 1, "blocked": 1},
            "explain": {"ready": 2, "blocked": 2},
        }

    def test_what_may_start_has_all_parents_done(self, run, shards, finish):
        finish("dense", "segment")
        assert read_states(run).parents_done == {
            shards[key].name
            for key in ("segment", "dense", "train", "evaluate-dense", "explain-dense-0",
                        "explain-dense-1")
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("state", "is_failed"),
        [(state, True) for state in sorted(FAILED)]
        + [(state, False) for state in ("preempted", "waiting", "cancelled", "done", "running")],
    )
    def test_bad_ends_wait_for_somebody_to_look(self, shards, state, is_failed):
        assert ShardState(shards["dense"], state).is_failed == is_failed

    def test_last_attempt_is_the_newest(self, run, shards, attempt):
        name = shards["dense"].name
        assert read_states(run).shards[name].last is None
        attempt("dense", "failed")
        attempt("dense", "preempted")
        assert read_states(run).shards[name].last.number == 2


def test_attempts_are_those_of_the_ledger(run, shards, attempt):
    attempt("dense", "failed", "boom")
    (found,) = read_states(run).shards[shards["dense"].name].attempts
    assert found == read_attempts(run.attempts)[shards["dense"].name][0]
    assert (found.state, found.detail, found.number) == ("failed", "boom", 1)
