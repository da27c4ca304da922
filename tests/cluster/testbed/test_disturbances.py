"""Whatever a cluster does to its jobs, a run ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from testbed.machine import wait_until

pytestmark = pytest.mark.testbed(grace_s=0)


def survive_preemption(study, undisturbed):
    """Take both nodes away for a moment while the training runs, and see it end as if not."""
    study.submit()
    study.wait_for_checkpoint()
    study.preempt()
    study.finish()
    *before, last = study.ends()
    assert {*before} == {"preempted"}
    assert last == "done"
    assert study.store() == undisturbed()


def was_told(pid):
    """Whether SIGUSR2 waits for a process that stands still."""
    status = Path(f"/proc/{pid}/status").read_text()
    waiting = re.search(r"^ShdPnd:\s+(\w+)$", status, flags=re.MULTILINE)[1]
    return bool(int(waiting, base=16) >> (signal.SIGUSR2 - 1) & 1)


@pytest.mark.testbed(grace_s=60)
def test_preemption_with_notice_loses_nothing(study, undisturbed):
    survive_preemption(study, undisturbed)


def test_preemption_without_notice_costs_one_checkpoint_interval(study, undisturbed):
    survive_preemption(study, undisturbed)


def test_time_limit_costs_a_new_start(study, undisturbed):
    study.write(("walltime_min = 5", "walltime_min = 1"))
    study.submit("--profile", study.write_profile(notice_s=10))
    payload = study.wait_for_checkpoint().process.pid
    os.kill(payload, signal.SIGSTOP)  # so that it is slow enough, however fast this machine is
    wait_until(lambda: was_told(payload), "the notice of the time limit", timeout_s=90)
    os.kill(payload, signal.SIGCONT)
    study.finish()
    *before, last = study.ends()
    assert {*before} == {"timed out"}
    assert last == "done"
    assert study.store() == undisturbed()


def test_node_that_goes_down_costs_one_checkpoint_interval(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    node = slurm.describe(study.job())["NodeList"]
    slurm.set_node(node, "down")
    slurm.set_node(node, "resume")
    study.finish()
    assert len(study.ends()) == 2
    assert study.store() == undisturbed()


def test_slurmctld_may_be_restarted_while_a_shard_runs(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    slurm.restart_slurmctld()
    study.finish()
    assert study.ends() == ["done"]
    assert study.store() == undisturbed()
