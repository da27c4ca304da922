"""A supervisor of one attempt, between a Slurm of two small scripts and a worker that counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.profiles import remember_profile
from mtljobs.ledger import attempts
from mtljobs.ledger.paths import create_folder
from mtljobs.plan.frozen import newest_plan
from mtljobs.settings.profile import Profile

NURSERY = Path(__file__).with_name("nursery.py")
WORKER = Path(__file__).parents[1] / "light_worker.py"

# Answers from files; ends what it requeues, as Slurm does.
SCONTROL = """#!/bin/sh
cd "${0%/*}" && echo "scontrol $*" >> calls
if [ -e silent ]; then echo "Unable to contact slurm controller" >&2; exit 1; fi
case "$1" in
show) cat job ;;
requeue)
    sed -i 's/Restarts=0/Restarts=1/; s/State=RUNNING/State=COMPLETING/' job
    kill -TERM "$PPID" ;;
esac
"""
SCANCEL = """#!/bin/sh
cd "${0%/*}" && echo "scancel $*" >> calls
"""


class Job:
    """One job with its supervisor, in a run of its own."""

    def __init__(self, run, folder, nursery):
        self.run, self.folder, self.nursery = run, folder, nursery
        self.environment = {
            "PATH": f"{folder}:{os.defpath}",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CACHE_HOME": str(folder),
            "SLURM_JOB_ID": "7",
            "SLURM_MEM_PER_NODE": "2048",
        }
        self.output = folder / "output.txt"
        self.image = folder / "image.sif"
        self.image.write_bytes(b"SIF")
        self.submission = new_submission(run)
        for name, text in {"scontrol": SCONTROL, "scancel": SCANCEL}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.says(JobState="RUNNING")

    def says(self, **words):
        """What slurmctld shall say of the job from now on."""
        usual = {"Reason": "None", "Requeue": "1", "Restarts": "0", "PreemptTime": "None"}
        usual |= {"EndTime": "2099-01-01T00:00:00"}
        line = " ".join(f"{key}={value}" for key, value in (usual | words).items())
        (self.folder / "job").write_text(f"JobId=7 {line}\n")

    def is_silent(self):
        """Let slurmctld not answer any more."""
        (self.folder / "silent").touch()

    def start(self, behaviour, *shards, goal=4, **profile):
        """Start the supervisor of a job whose worker behaves so."""
        self.environment["MTLJOBS_GOAL"] = str(goal)
        remember_profile(self.run, Profile(notice_s=10, **profile))
        plan = newest_plan(self.run)
        names = shards or ("explain-a-0-0-0-0123456789ab",)
        Marker("explain", tuple(names), str(plan), memory_gb=2, round=0).write(self.submission)
        worker = [str(WORKER), behaviour, str(self.submission)]
        self.shard = names[int(self.environment.get("SLURM_ARRAY_TASK_ID", "0"))]
        order = {"environment": self.environment, "arguments": worker, "output": str(self.output)}
        self.nursery.stdin.write(json.dumps(order) + "\n")
        self.nursery.stdin.flush()
        self.pid = int(self.nursery.stdout.readline())

    def tell(self, number, *, begun=True):
        """Send the supervisor a signal, once its worker is at work."""
        self.wait_until((self.run.root / "began").exists if begun else self.output.exists)
        os.kill(self.pid, number)

    def end(self):
        """Exit status of the supervisor, and the last attempt that it was about."""
        status = int(self.nursery.stdout.readline())
        return status, self.last()

    def last(self):
        """The newest attempt."""
        return attempts.read_shard(self.run.attempts, self.shard)[-1]

    def worker(self):
        """Its pid."""
        return self.last().process.pid

    def calls(self, command):
        """Arguments of each call of one of Slurm's commands, but for questions."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        calls = [line.removeprefix(f"{command} ") for line in lines if line.startswith(command)]
        return [call for call in calls if not call.startswith("show")]

    @staticmethod
    def wait_until(holds):
        """Wait for something that takes seconds at most."""
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture(scope="module")
def nursery():
    command = [sys.executable, str(NURSERY)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def job(run, tmp_path, nursery):
    return Job(run, create_folder(tmp_path / "bin"), nursery)
