"""Whatever happens to its jobs, a run ends with the bytes of one that nothing happened to."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.testbed(grace_s=0)


def test_node_that_goes_down_costs_one_checkpoint_interval(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    node = slurm.describe(study.job())["NodeList"]
    slurm.set_node(node, "down")
    slurm.set_node(node, "resume")
    study.finish()
    assert len(study.shard("train").attempts) == 2
    assert study.store() == undisturbed()


def test_slurmctld_may_be_restarted_while_a_shard_runs(study, slurm, undisturbed):
    study.submit()
    study.wait_for_checkpoint()
    slurm.restart_slurmctld()
    study.finish()
    assert [attempt.state for attempt in study.shard("train").attempts] == ["done"]
    assert study.store() == undisturbed()
