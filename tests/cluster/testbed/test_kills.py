"""Whoever kills what, and whatever fails, a run ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.ledger.paths import scratch_folder

pytestmark = pytest.mark.testbed(grace_s=0)


def parent(pid):
    """The process that started another."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^PPid:\s+(\d+)$", status, flags=re.MULTILINE)[1])


def test_cancelled_shard_waits_for_resume(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    slurm.run("scancel", study.job())
    assert study.wait_for_end().state == "cancelled"
    study.wait_until_empty()
    assert not study.state.is_complete
    study.finish(resumes=1)
    assert study.ends() == ["cancelled", "done"]
    assert study.store() == undisturbed()


def test_killed_payload_is_tried_again_by_itself(study, undisturbed):
    study.submit()
    os.kill(study.wait_for_checkpoint().process.pid, signal.SIGKILL)
    study.finish()
    assert study.ends()[-1] == "done"
    assert study.store() == undisturbed()


def test_killed_supervisor_takes_its_payload_along_and_is_replaced(study, undisturbed):
    study.submit()
    payload = study.wait_for_checkpoint().process.pid
    os.kill(parent(payload), signal.SIGKILL)
    study.finish()
    assert study.ends()[-1] == "done"
    assert study.store() == undisturbed()


def test_loader_processes_do_not_hear_the_notice(study, slurm, undisturbed):
    study.write(("checkpoint_every_s = 1", "checkpoint_every_s = 1\nloader_workers = 1"))
    study.submit()
    study.wait_for_checkpoint()
    slurm.run("scancel", "--signal=USR2", "--batch", study.job())
    study.finish()
    *before, last = study.ends()
    assert {*before} == {"preempted"}
    assert last == "done"
    assert study.store() == undisturbed()


def test_training_that_failed_is_resumed_with_all_that_hangs_on_it(study, undisturbed):
    freeze(propose(str(study.grid), workspace=study.workspace))
    training = study.shard("train").shard
    in_the_way = scratch_folder(study.workspace, study.run, training) / "checkpoint.bin"
    in_the_way.mkdir(parents=True)
    study.submit()
    study.wait_until_empty()
    assert study.ends() == ["failed"]
    assert study.ends("explain") == ["waiting"]
    in_the_way.rmdir()
    study.finish(resumes=1)
    assert study.ends() == ["failed", "done"]
    assert study.store() == undisturbed()
