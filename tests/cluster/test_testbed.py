"""The test bed itself: a Slurm that behaves as clusters do, and leaves nothing behind."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.testbed(grace_s=0)


def test_job_runs_on_one_of_two_idle_nodes(slurm):
    assert slurm.run("sinfo", "-hN", "-p", "low", "-o", "%N %T").stdout == "n1 idle\nn2 idle\n"
    job = slurm.submit("--wrap=hostname", "--output=out.txt", as_user=True)
    assert slurm.wait_for(job, "COMPLETED")["NodeList"] == "n1"
    assert (slurm.home / "out.txt").read_text()


def test_preempted_job_is_requeued_and_starts_again(slurm):
    """Without grace; a requeued job waits for its old credential to expire."""
    low = slurm.submit("--nodes=2", "--exclusive", "--wrap=sleep 60")
    slurm.wait_for(low, "RUNNING")
    high = slurm.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=true")
    slurm.wait_for(high, "COMPLETED")
    assert slurm.wait_for(low, "RUNNING")["Restarts"] == "1"


def test_node_that_goes_down_gives_its_job_back(slurm):
    job = slurm.submit("--nodelist=n1", "--wrap=sleep 60")
    slurm.wait_for(job, "RUNNING")
    slurm.set_node("n1", "down")
    assert slurm.wait_for(job, "PENDING")["Restarts"] == "1"
    slurm.set_node("n1", "resume")
    slurm.wait_for(job, "RUNNING")
