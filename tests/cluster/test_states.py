"""How far a run is, from files that nobody but this test wrote."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mtljobs.cluster.states import FAILED, RunState, ShardState, find_log, find_shard, read_states
from mtljobs.errors import CorruptionError, UserError
from mtljobs.ledger import attempts
from mtljobs.ledger.attempts import AttemptState, read_attempts
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import create_folder, result_folder
from mtljobs.ledger.records import make_record, write_record
from mtljobs.plan.frozen import read_newest
from mtljobs.worker import log_file


@pytest.fixture
def run(submitted):
    """A run of two cells that nobody has worked on."""
    return submitted()


@pytest.fixture
def shards(run):
    """The shards of the run's plan by a short name: stage, or phase, and what tells them apart."""
    plan = read_newest(run)
    dense, half = plan.cells
    names = [*dense.shards[:2], *half.shards[1:4], *dense.shards[2:], *half.shards[4:]]
    keys = ["segment", "dense", "train", "cut", "tune", "evaluate-dense", "explain-dense-0",
            "explain-dense-1", "evaluate", "explain-0", "explain-1"]  # fmt: skip
    by_name = {shard.name: shard for shard in plan.shards}
    return {key: by_name[name] for key, name in zip(keys, names, strict=True)}


@pytest.fixture
def finish(run, workspace, shards):
    """Commits results of shards, as their workers would."""

    def commit(*keys):
        for key in keys:
            shard = shards[key]
            folder = create_folder(result_folder(workspace, run, shard))
            write_record(
                folder, make_record(folder, shard=shard.name, identity=shard.identity, versions={})
            )

    return commit


@pytest.fixture
def attempt(run, shards):
    """Begins an attempt at a shard and, if it has one, writes its end."""

    def begin(key, outcome=None, detail=""):
        started = attempts.begin(run.attempts, shards[key].name, device="cpu")
        if outcome is not None:
            started.end(outcome, detail)
        return started

    return begin


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

    def test_record_of_another_identity_is_corruption_and_named(
        self, run, shards, finish, workspace
    ):
        finish("dense")
        path = result_folder(workspace, run, shards["dense"]) / "record.json"
        replace_file(path, to_json(read_json(path) | {"identity": "5" * 64}))
        with pytest.raises(CorruptionError, match=re.escape(str(path))):
            read_states(run)

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
        [(state, True) for state in FAILED]
        + [(state, False) for state in ("preempted", "waiting", "cancelled", "done", "running")],
    )
    def test_bad_ends_wait_for_somebody_to_look(self, shards, state, is_failed):
        assert ShardState(shards["dense"], state).is_failed == is_failed

    def test_last_attempt_is_the_newest(self, shards):
        assert ShardState(shards["dense"], "ready").last is None
        older, newer = made_up("dense", "failed", 1), made_up("dense", "done", 1)
        assert ShardState(shards["dense"], "done", (older, newer)).last is newer


def made_up(shard, state, seconds):
    return AttemptState(
        shard=shard, number=1, state=state, detail="", started=1000.0, last_sign=1000.0 + seconds,
        process=None, device="cpu", exit_code=None, signal=None,
    )  # fmt: skip


class TestTimeLeft:
    @pytest.fixture
    def left(self, run, shards):
        """Seconds left where some shards are done after so many seconds, or in another state."""

        def estimate(slots=1, **known):
            known = {key.replace("_", "-"): value for key, value in known.items()}
            states = {}
            for key, shard in shards.items():
                value = known.get(key, "ready")
                is_done = not isinstance(value, str)
                seconds = value if is_done else 77
                name = "done" if is_done else value
                attempt = made_up(shard.name, name, seconds)
                states[shard.name] = ShardState(shard, name, () if name == "ready" else (attempt,))
            state = RunState(run, run.plans / "0001.jsonl", read_newest(run), states)
            return state.seconds_left(slots)

        return estimate

    def test_nothing_is_known_before_the_first_shard_is_done(self, left):
        assert left() is None
        assert left(dense="failed", train="running") is None

    def test_stages_without_a_finished_shard_take_as_long_as_the_others(self, left):
        # 10 s for each of the ten others.
        assert left(segment=10) == 100

    def test_each_stage_takes_its_own_mean(self, left):
        # Left: 1 train of (20 + 40) / 2, then prune, 2 evaluate, 4 explain of (30 + 10) / 2.
        assert left(segment=10, dense=20, train=40) == 30 + 7 * 20

    def test_slots_share_the_work(self, left):
        assert left(slots=2, segment=10) == 50
        assert left(slots=0, segment=10) == 100

    def test_failed_and_running_shards_are_still_to_be_done(self, left):
        assert left(segment=10, dense="failed", train="running") == 100

    def test_time_of_failed_attempts_says_nothing(self, left):
        assert left(segment=10, dense="failed") == 100

    def test_nothing_is_left_when_all_is_done(self, left, shards):
        assert left(**{key.replace("-", "_"): 5 for key in shards}) == 0


class TestFindShard:
    def test_whole_name_or_its_beginning(self, run, shards):
        state = read_states(run)
        name = shards["evaluate"].name
        assert find_shard(state, name) == find_shard(state, "evaluate-study-0.5") == name
        assert find_shard(state, "red") == "reduce"

    def test_beginning_of_several_names_is_refused_with_some_of_them(self, run, shards):
        with pytest.raises(UserError) as caught:
            find_shard(read_states(run), "explain")
        assert "4 shards begin with 'explain', such as" in str(caught.value)
        assert str(caught.value).count("explain-study-") == 3

    def test_unknown_name_is_answered_with_near_ones(self, run, shards):
        name = shards["evaluate"].name
        with pytest.raises(UserError, match=f"no shard .*did you mean '{re.escape(name)}'"):
            find_shard(read_states(run), name.replace("evaluate", "evalaute"))

    def test_answer_to_an_unknown_name_stays_short_in_a_large_run(self, submitted):
        seeds = ", ".join(map(str, range(50)))
        large = submitted("large", ("seeds = [0]", f"seeds = [{seeds}]"))
        with pytest.raises(UserError, match=r"and \d+ more\)") as caught:
            find_shard(read_states(large), "zzz")
        assert len(str(caught.value)) < 1000


class TestFindLog:
    @pytest.fixture
    def logged(self, run, shards, attempt):
        """Begins an attempt that leaves a log."""

        def begin(key, outcome="failed", written_at=1000):
            number = attempt(key, outcome).number
            path = log_file(run, shards[key].name, number)
            create_folder(path.parent)
            path.write_text(f"{key} {number}\n")
            os.utime(path, (written_at, written_at))

        return begin

    def test_last_attempt_of_a_shard_is_the_default(self, run, logged):
        logged("evaluate")
        logged("evaluate")
        state = read_states(run)
        assert find_log(state, "evaluate-study-0.5", None).read_text() == "evaluate 2\n"
        assert find_log(state, "evaluate-study-0.5", 1).read_text() == "evaluate 1\n"

    def test_shard_that_was_worked_on_last_is_the_default(self, run, logged):
        logged("evaluate", written_at=3000)
        logged("dense", written_at=2000)
        (run.logs / "driver.log").write_text("the driver's own")
        assert find_log(read_states(run), None, None).read_text() == "evaluate 1\n"

    def test_run_without_any_log_says_so(self, run):
        with pytest.raises(UserError, match="nothing has run yet in the run 'study'"):
            find_log(read_states(run), None, None)

    def test_missing_attempt_is_answered_with_those_there_are(self, run, logged):
        logged("evaluate")
        with pytest.raises(UserError, match=r"no log of attempt 7; attempts: \[1\]"):
            find_log(read_states(run), "evaluate-study-0.5", 7)

    def test_shard_that_never_ran_has_no_log(self, run):
        with pytest.raises(UserError, match="no log of attempt 0; attempts: none"):
            find_log(read_states(run), "evaluate-study-0.5", None)


def test_attempts_are_those_of_the_ledger(run, shards, attempt):
    attempt("dense", "failed", "boom")
    (found,) = read_states(run).shards[shards["dense"].name].attempts
    assert found == read_attempts(run.attempts)[shards["dense"].name][0]
    assert (found.state, found.detail, found.number) == ("failed", "boom", 1)
