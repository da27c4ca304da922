from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from mtljobs.ledger.attempts import (
    COUNTS_ALWAYS,
    Attempt,
    AttemptState,
    Outcome,
    begin,
    is_running,
    read_attempts,
    report_from_host,
)
from mtljobs.ledger.liveness import ProcessIdentity
from mtljobs.ledger.paths import RunFolder

SHARD = "explain-segnet-0.5-0-3-0123456789ab"


@pytest.fixture
def attempt(run: RunFolder) -> Attempt:
    return begin(run.attempts, SHARD, device="cpu")


def only(run: RunFolder) -> AttemptState:
    states = read_attempts(run.attempts)
    assert list(states) == [SHARD]
    (state,) = states[SHARD]
    return state


def move_elsewhere(attempt: Attempt, process: ProcessIdentity) -> None:
    """Let the attempt's file say that another process wrote it."""
    values = json.loads(attempt.path.read_text()) | {"process": process.to_json()}
    attempt.path.write_text(json.dumps(values))


def test_an_attempt_without_an_end_is_running_while_its_process_lives(
    run: RunFolder, attempt: Attempt
) -> None:
    state = only(run)
    assert (state.state, state.number, state.device) == ("running", 1, "cpu")
    assert state.process == ProcessIdentity.current()
    assert is_running(run.attempts, SHARD)


def test_an_attempt_names_the_image_that_it_runs_in_until_its_end(run: RunFolder) -> None:
    attempt = begin(run.attempts, SHARD, device="cpu", image="ab" * 32)
    assert only(run).image == "ab" * 32
    attempt.end("done", "")
    assert only(run).image == "ab" * 32


def test_an_attempt_outside_of_any_image_names_none(run: RunFolder, attempt: Attempt) -> None:
    assert only(run).image == ""


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_the_workers_own_end_is_what_the_attempt_became(
    run: RunFolder, attempt: Attempt, outcome: Outcome
) -> None:
    attempt.end(outcome, "why")
    state = only(run)
    assert (state.state, state.detail) == (outcome, "why")
    assert state.last_sign >= state.started == attempt.started
    assert not is_running(run.attempts, SHARD)


def test_every_attempt_gets_a_number_of_its_own(run: RunFolder, attempt: Attempt) -> None:
    second = begin(run.attempts, SHARD, device="cpu")
    other = begin(run.attempts, "reduce-0123456789ab", device="cpu")
    assert (attempt.number, second.number, other.number) == (1, 2, 1)
    states = read_attempts(run.attempts)
    assert [state.number for state in states[SHARD]] == [1, 2]


def test_an_attempt_whose_process_is_gone_vanished_at_once(
    run: RunFolder, attempt: Attempt
) -> None:
    move_elsewhere(attempt, dataclasses.replace(attempt.process, started="0"))
    assert only(run).state == "vanished"


def test_an_attempt_elsewhere_vanished_after_five_minutes_of_silence(
    run: RunFolder,
    attempt: Attempt,
    elsewhere: ProcessIdentity,
    silence: Callable[[Path], None],
) -> None:
    move_elsewhere(attempt, elsewhere)
    assert only(run).state == "running"
    silence(attempt.path)
    assert only(run).state == "vanished"
    attempt.beat()
    assert only(run).state == "running"


def test_the_hosts_cause_holds_where_the_worker_could_not_write_its_end(
    run: RunFolder, attempt: Attempt
) -> None:
    report_from_host(run.attempts, SHARD, 1, exit_code=None, signal=9, cause="out of memory")
    state = only(run)
    assert (state.state, state.exit_code, state.signal) == ("out of memory", None, 9)


@pytest.mark.parametrize("outcome", ["preempted", "failed"])
def test_the_hosts_cause_counts_more_than_how_a_worker_took_it(
    run: RunFolder, attempt: Attempt, outcome: Outcome
) -> None:
    """A worker only hears a signal, or loses its image to it; the host knows who sent it."""
    attempt.end(outcome, "Transport endpoint is not connected")
    report_from_host(run.attempts, SHARD, 1, exit_code=1, signal=None, cause="timed out")
    state = only(run)
    assert (state.state, state.outcome, state.exit_code) == ("timed out", outcome, 1)
    assert state.detail == "Transport endpoint is not connected"


@pytest.mark.parametrize("outcome", sorted(COUNTS_ALWAYS))
def test_what_a_worker_has_finished_holds_against_the_host(
    run: RunFolder, attempt: Attempt, outcome: Outcome
) -> None:
    attempt.end(outcome, "why")
    report_from_host(
        run.attempts, SHARD, 1, exit_code=None, signal=9, cause="cancelled", detail="too late"
    )
    state = only(run)
    assert (state.state, state.detail, state.signal) == (outcome, "why", 9)


def test_the_hosts_detail_stands_in_the_place_of_the_workers(
    run: RunFolder, attempt: Attempt
) -> None:
    attempt.end("failed", "Killed")
    report_from_host(
        run.attempts, SHARD, 1, exit_code=1, signal=None, cause="out of memory", detail="2 GB"
    )
    assert only(run).detail == "2 GB"


def test_an_attempt_that_its_host_saw_end_without_a_cause_vanished(
    run: RunFolder, attempt: Attempt
) -> None:
    report_from_host(run.attempts, SHARD, 1, exit_code=None, signal=9, cause=None)
    assert only(run).state == "vanished"


@pytest.mark.parametrize("content", ["", '{"started": 1', "[]", '{"outcome": "splendid"}'])
def test_a_half_written_file_reads_as_an_attempt_of_which_little_is_known(
    run: RunFolder, attempt: Attempt, silence: Callable[[Path], None], content: str
) -> None:
    attempt.path.write_text(content)
    (run.attempts / f"{SHARD}.1.host.json").write_text("")
    (run.attempts / ".stray.aside").write_text("")
    assert only(run).state == "running"
    silence(attempt.path)
    assert only(run).state == "vanished"


def test_a_run_without_attempts_has_none(run: RunFolder) -> None:
    assert read_attempts(run.attempts) == {}
    assert not is_running(run.attempts, SHARD)
