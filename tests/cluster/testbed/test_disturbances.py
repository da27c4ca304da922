"""Whatever happens to its jobs, a run ends with the bytes of one that nothing happened to."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.testbed(grace_s=0)


def ends(study, stage="train"):
    return [attempt.state for attempt in study.shard(stage).attempts]


def parent(pid):
    """The process that started another."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^PPid:\s+(\d+)$", status, flags=re.MULTILINE)[1])


def survive_preemption(study, slurm, undisturbed):
    """Take both nodes away for a moment while the training runs, and see it end as if not."""
    study.submit()
    study.wait_for_checkpoint()
    high = slurm.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 1")
    slurm.wait_for(high, "COMPLETED", timeout_s=120)
    study.finish()
    *before, last = ends(study)
    assert {*before} == {"preempted"}
    assert last == "done"
    assert study.store() == undisturbed()


@pytest.mark.testbed(grace_s=60)
def test_preemption_with_notice_loses_nothing(study, slurm, undisturbed):
    survive_preemption(study, slurm, undisturbed)


def test_preemption_without_notice_costs_one_checkpoint_interval(study, slurm, undisturbed):
    survive_preemption(study, slurm, undisturbed)


def test_node_that_goes_down_costs_one_checkpoint_interval(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    node = slurm.describe(study.job())["NodeList"]
    slurm.set_node(node, "down")
    slurm.set_node(node, "resume")
    study.finish()
    assert len(ends(study)) == 2
    assert study.store() == undisturbed()


def test_cancelled_shard_waits_for_resume(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    slurm.run("scancel", study.job())
    assert study.wait_for_end().state == "cancelled"
    study.wait_until_empty()
    assert not study.state.is_complete
    study.finish(resumes=1)
    assert ends(study) == ["cancelled", "done"]
    assert study.store() == undisturbed()


def test_killed_payload_is_tried_again_by_itself(study, slurm, undisturbed):
    study.submit()
    os.kill(study.wait_for_checkpoint().process.pid, signal.SIGKILL)
    study.finish()
    assert ends(study)[-1] == "done"
    assert study.store() == undisturbed()


def test_killed_supervisor_takes_its_payload_along_and_is_replaced(study, slurm, undisturbed):
    study.submit()
    payload = study.wait_for_checkpoint().process.pid
    os.kill(parent(payload), signal.SIGKILL)
    study.finish()
    assert ends(study)[-1] == "done"
    assert study.store() == undisturbed()


def test_slurmctld_may_be_restarted_while_a_shard_runs(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    slurm.restart_slurmctld()
    study.finish()
    assert ends(study) == ["done"]
    assert study.store() == undisturbed()


def test_loader_processes_do_not_hear_the_notice(study, slurm, undisturbed):
    loaders = ("checkpoint_every_s = 1", "checkpoint_every_s = 1\nloader_workers = 1")
    study.write(loaders)
    study.submit()
    study.wait_for_checkpoint()
    slurm.run("scancel", "--signal=USR2", "--batch", study.job())
    study.finish()
    *before, last = ends(study)
    assert {*before} == {"preempted"}
    assert last == "done"
    assert study.store() == undisturbed()
