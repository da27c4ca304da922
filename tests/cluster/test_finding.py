"""Which shard, and which log, a user means."""

from __future__ import annotations

import os
import re

import pytest

from mtljobs.cluster.logs import find_log
from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.states import find_shard, read_states
from mtljobs.errors import UserError
from mtljobs.ledger.paths import create_folder, log_file


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

    def test_shard_that_failed_is_the_default_before_one_that_did_not(self, run, logged):
        logged("dense", "failed", written_at=1000)
        logged("evaluate", "preempted", written_at=2000)
        assert find_log(read_states(run), None, None).read_text() == "dense 1\n"

    @pytest.mark.parametrize("name", [None, "evaluate-study-0.5"])
    def test_output_of_the_job_is_the_log_of_a_worker_that_never_began(
        self, run, shards, attempt, name
    ):
        for job in ("7", "8"):
            folder = new_submission(run)
            pair = (shards["dense"].name, shards["evaluate"].name)
            Marker("any", pair, plan="", memory_gb=1, round=0, attempts=(0, 0), job=job).write(
                folder
            )
            (folder / f"{job}_1_0_log.out").write_text(f"no such module {job}\n")
        attempt("evaluate", "failed", "the worker ended with exit code 1")
        assert find_log(read_states(run), name, None).read_text() == "no such module 8\n"
