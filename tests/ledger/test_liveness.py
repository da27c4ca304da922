from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mtljobs.ledger.liveness import ProcessIdentity, _start_of, is_over


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which waits until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    return dataclasses.replace(
        ProcessIdentity.current(), pid=process.pid, started=_start_of(process.pid) or ""
    )


def test_a_process_is_gone_once_it_was_killed_even_before_it_is_reaped(
    child: subprocess.Popen[bytes],
) -> None:
    identity = identity_of(child)
    assert not identity.is_gone()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # Dead, but still in the table.
    assert identity.is_gone()


def test_a_pid_that_is_used_again_is_another_process() -> None:
    me = ProcessIdentity.current()
    assert not me.is_gone()
    assert dataclasses.replace(me, started=str(int(me.started) - 1)).is_gone()


@pytest.mark.parametrize(
    "elsewhere", [{"host": "n2"}, {"boot_id": "other"}, {"pid_namespace": "pid:[1]"}]
)
def test_of_a_process_elsewhere_nothing_is_known(elsewhere: dict[str, str]) -> None:
    dead = dataclasses.replace(ProcessIdentity.current(), started="0")
    assert dead.is_gone()
    assert not dataclasses.replace(dead, **elsewhere).is_gone()


def test_a_requeued_job_knows_that_its_predecessor_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    before = dataclasses.replace(ProcessIdentity.current(), host="n2", restarts=0)
    assert before.is_gone()
    assert not dataclasses.replace(before, job="78").is_gone()
    assert not dataclasses.replace(before, restarts=1).is_gone()


def test_an_identity_survives_json() -> None:
    me = ProcessIdentity.current()
    assert ProcessIdentity.from_json(json.loads(json.dumps(me.to_json()))) == me
    assert ProcessIdentity.from_json({"host": "n2"}) is None
    assert ProcessIdentity.from_json(None) is None


def test_silence_ends_what_cannot_be_seen_and_not_a_suspended_process_of_this_host() -> None:
    long_ago = time.time() - 310
    elsewhere = replace(ProcessIdentity.current(), host="another-host")
    assert is_over(None, last_sign=long_ago)
    assert not is_over(None, last_sign=time.time() - 290)
    assert is_over(elsewhere, last_sign=long_ago)
    assert not is_over(elsewhere, last_sign=time.time() - 290)
    assert not is_over(ProcessIdentity.current(), last_sign=long_ago)
