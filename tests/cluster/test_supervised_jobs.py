"""The supervisor in jobs of a real Slurm, with a worker that goes on where it stopped."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.profiles import remember_profile
from mtljobs.ledger import attempts
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.frozen import read_newest
from mtljobs.settings.profile import Profile
from testbed.machine import wait_until
from testbed.user import make_python

CHECKOUT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("light_worker.py")

pytestmark = pytest.mark.testbed(grace_s=0)


class Batch:
    """One job at one shard of a run, as `submit` makes them."""

    def __init__(self, box, run, *, python=sys.executable, as_user=False, **profile):
        self.box, self.run, self.python, self.as_user = box, run, python, as_user
        self.profile = Profile(**({"notice_s": 10} | profile))
        self.shard = read_newest(run).shards[0].name

    def submit(self, behaviour, *options, goal=20, **variables):
        """Queue it; returns once its worker is at work."""
        remember_profile(self.run, self.profile)
        folder = new_submission(self.run)
        plan = self.run.plans / "0001.jsonl"
        Marker("segment", (self.shard,), str(plan), memory_gb=0.1, round=0).write(folder)
        variables = {"MTLJOBS_GOAL": goal, **variables}
        if not self.as_user:
            variables["PYTHONPATH"] = os.pathsep.join(sys.path)
        worker = [self.python, "-m", "mtljobs.cluster.supervisor", WORKER, behaviour, folder]
        lines = [
            "#!/bin/bash",
            "trap '' USR2",
            *(f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()),
            f"exec {shlex.join(map(str, worker))}",
        ]
        script = folder / "script.sh"
        script.write_text("\n".join(lines) + "\n")
        if self.as_user:
            self.box.run("chown", "-R", self.box.user, self.run.root.parent)
        usual = (f"--signal=B:USR2@{self.profile.notice_s}", "--requeue", "--open-mode=append")
        output = f"--output={folder}/output.txt"
        self.output = folder / "output.txt"
        self.job = self.box.submit(
            *usual, output, "--mem=100", *options, script, as_user=self.as_user
        )
        wait_until(
            (self.run.root / "began").exists, "the worker", timeout_s=30, otherwise=self.said
        )

    def said(self):
        return self.output.read_text() if self.output.exists() else "nothing"

    def attempts(self):
        return attempts.read_shard(self.run.attempts, self.shard)

    def history(self):
        """How its attempts ended, oldest first."""
        return [attempt.state for attempt in self.attempts()]

    def last(self):
        return self.attempts()[-1]

    def wait_for(self, *history, timeout_s=60):
        """Until its attempts have ended so."""
        wait_until(
            lambda: self.history() == list(history),
            f"attempts {history}",
            timeout_s=timeout_s,
            otherwise=lambda: f"they are {self.history()}; {self.said()}",
        )

    def pid(self):
        """Of the supervisor: the worker's parent, or that of the container's starter."""
        worker = self.last().process.pid
        status = Path(f"/proc/{worker}/status").read_text()
        return int(status.partition("PPid:")[2].split()[0])


@pytest.fixture
def batch(slurm, run):
    return Batch(slurm, run)


@pytest.fixture
def both_nodes(slurm):
    """Options of a job that every job of `high` is in the way of."""
    return ("--nodes=2", "--exclusive")


def preempt(box):
    """Let a job of `high` take both nodes for a moment."""
    return box.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 1")


def test_job_that_meets_its_time_limit_goes_on_where_it_stopped(batch):
    batch.profile = Profile(notice_s=50)  # of 60; Slurm looks every 30 s
    batch.submit("counts", "--time=1", goal=900)
    assert batch.box.wait_for(batch.job, timeout_s=120)["JobState"] == "COMPLETED"
    *stopped, last = batch.attempts()
    assert last.state == "done"
    assert {attempt.state for attempt in stopped} == {"timed out"}
    counts = [int(attempt.detail.removeprefix("stopped before ")) for attempt in stopped]
    assert counts == sorted(set(counts))
    assert [attempt.process.restarts for attempt in batch.attempts()] == [*range(len(counts) + 1)]
    assert {attempt.process.job for attempt in batch.attempts()} == {batch.job}


@pytest.mark.testbed(grace_s=1)
def test_preempted_job_with_a_notice_goes_on(batch, both_nodes):
    batch.submit("counts", *both_nodes, goal=100)
    preempt(batch.box)
    batch.wait_for("preempted", "done", timeout_s=90)
    assert "SIGUSR2: the worker was told" in batch.said()
    assert batch.box.wait_for(batch.job)["JobState"] == "COMPLETED"


@pytest.mark.testbed(notice=False)
def test_preempted_job_without_a_notice_goes_on(batch, both_nodes):
    batch.submit("counts", *both_nodes, goal=60)
    preempt(batch.box)
    batch.wait_for("preempted", "done")
    assert "SIGTERM: the worker was told" in batch.said()
    assert batch.box.wait_for(batch.job)["JobState"] == "COMPLETED"


def test_cancelled_job_writes_its_checkpoint_and_does_not_live_again(batch):
    batch.submit("counts", goal=1000)
    batch.box.run("scancel", batch.job)
    assert batch.box.wait_for(batch.job)["JobState"] == "CANCELLED"
    assert batch.history() == ["cancelled"]
    assert batch.last().detail.startswith("stopped before")


def test_worker_that_does_not_stop_is_killed_and_its_cause_known(batch):
    batch.submit("deaf", goal=1000)
    batch.box.run("scancel", batch.job)
    assert batch.box.wait_for(batch.job)["JobState"] == "CANCELLED"
    assert batch.history() == ["cancelled"]


def test_killed_worker_is_told_from_one_that_was_stopped(batch):
    batch.submit("counts", goal=1000)
    os.kill(batch.last().process.pid, signal.SIGKILL)
    assert batch.box.wait_for(batch.job)["JobState"] == "FAILED"
    assert (batch.history(), batch.last().signal) == (["vanished"], signal.SIGKILL)


def test_killed_supervisor_leaves_no_worker_behind(batch):
    batch.submit("counts", goal=1000)
    worker = batch.last().process
    os.kill(batch.pid(), signal.SIGKILL)
    assert batch.box.wait_for(batch.job)["JobState"] == "FAILED"
    wait_until(lambda: not worker.is_here(), "the worker to end", timeout_s=10)
    assert batch.history()[0] in {"preempted", "vanished"}


def test_job_of_a_lost_node_goes_on_elsewhere(batch):
    batch.submit("counts", goal=100)
    node = batch.box.describe(batch.job)["NodeList"]
    batch.box.set_node(node, "down")
    batch.wait_for("node lost", "done")


def test_notice_while_slurmctld_restarts_is_acted_on_when_it_is_back(batch):
    batch.submit("counts", goal=1000)
    supervisor = batch.pid()
    batch.box.kill("slurmctld", signal.SIGTERM)
    os.kill(supervisor, signal.SIGUSR2)
    wait_until(lambda: batch.history() == ["preempted"], "the checkpoint", timeout_s=40)
    batch.box.revive("slurmctld")
    wait_until(lambda: batch.box.describe(batch.job)["Restarts"] == "1", "a requeue", timeout_s=60)


@pytest.mark.testbed(enforce_memory=True)
def test_job_that_ran_out_of_memory_gets_more(batch):
    batch.submit("grows", MTLJOBS_MEGABYTES=110)
    given = batch.box.wait_for(batch.job, "COMPLETED", timeout_s=90)["MinMemoryNode"]
    *grown, last = batch.attempts()
    assert last.state == "done"
    assert grown[0].detail == "0.0976562 GB were too few; the next attempt gets 0.146484 GB"
    assert {attempt.state for attempt in grown} == {"out of memory"}
    assert given == f"{round(100 * 1.5 ** len(grown))}M"


@pytest.mark.testbed(enforce_memory=True)
def test_job_that_needs_more_memory_than_the_profile_allows_ends(batch):
    batch.profile = Profile(memory_max_gb=100 / 1024)
    batch.submit("grows", MTLJOBS_MEGABYTES=110)
    batch.box.wait_for(batch.job)
    assert batch.history() == ["out of memory"]
    assert "memory_max_gb of the profile allows no more" in batch.last().detail


class TestContainer:
    """As an unprivileged user, whose image is mounted by FUSE, as on clusters."""

    @pytest.fixture
    def contained(self, slurm, image, submitted, tmp_path):
        run = submitted()
        home = slurm.home / tmp_path.name
        shutil.copytree(run.root.parent, home)
        environment = slurm.home / "python"  # of an earlier test, as the box serves them all
        python = (
            environment / "bin/python" if environment.exists() else make_python(slurm, CHECKOUT)
        )
        paths = environment.rglob("testbed.pth")
        folders = [line.split("'")[1] for path in paths for line in path.read_text().splitlines()]
        return Batch(
            slurm,
            Workspace(home).run(run.name),
            python=python,
            as_user=True,
            image=str(image),
            environment=str(environment),
            binds=tuple(folders),
        )

    @pytest.mark.testbed(grace_s=1)
    def test_preempted_worker_in_an_image_goes_on(self, contained, both_nodes):
        contained.submit("counts", *both_nodes, goal=100)
        preempt(contained.box)
        contained.wait_for("preempted", "done", timeout_s=90)

    @pytest.mark.testbed(notice=False)
    def test_image_that_dies_of_the_last_signal_costs_no_shard(self, contained, both_nodes):
        contained.submit("reads when told", *both_nodes, goal=60)
        preempt(contained.box)
        contained.wait_for("preempted", "done")

    def test_image_is_copied_to_the_nodes_disk_once_and_run_there(self, contained):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as disk:
            shutil.chown(disk, contained.box.user)
            contained.profile = dataclasses.replace(contained.profile, scratch=disk)
            for number in (1, 2):
                contained.submit("counts", goal=number)
                contained.box.wait_for(contained.job, "COMPLETED")
                assert ("was copied to" in contained.said()) == (number == 1)
            assert contained.history() == ["done", "done"]
            (copy,) = Path(disk).glob("mtljobs-*/*.sif")
            assert copy.read_bytes() == Path(contained.profile.image).read_bytes()

    def test_killed_supervisor_leaves_no_worker_in_the_image(self, contained):
        contained.submit("counts", goal=1000)
        worker = contained.last().process
        found = contained.box.run("pgrep", "-u", contained.box.user, "-f", "cluster.supervisor")
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        wait_until(lambda: not worker.is_here(), "the worker to end", timeout_s=10)
