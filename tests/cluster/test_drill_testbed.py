"""The drill on a real Slurm, by an unprivileged user, in an image that is mounted by FUSE."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from testbed.machine import wait_until
from testbed.user import make_python

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.testbed


@pytest.fixture
def python(slurm):
    """An interpreter that the box's user may run, with mtljobs."""
    return make_python(slurm, CHECKOUT)


def folders(python):
    """Where its packages lie."""
    path = next(python.parent.parent.rglob("testbed.pth"))
    return re.findall(r"addsitedir\('(.*)'\)", path.read_text())


@pytest.fixture
def profile(slurm, python):
    """Writes a profile for the user, and says where."""

    def write(**values):
        path = slurm.home / "mine.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return path

    return write


def test_drill_tells_what_this_cluster_does(slurm, python, profile, image):
    path = profile(
        partition="low",
        memory_max_gb=7,
        scratch="$TMPDIR",
        image=str(image),
        environment=str(python.parent.parent),
        binds=folders(python),
    )
    command = (python, "-m", "mtljobs", "doctor", "--profile", path, "--drill", "--json")
    answer = slurm.run(*command, as_user=True, check=False, timeout_s=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    findings = json.loads(answer.stdout)
    drill = {
        entry["subject"].removeprefix("drill: "): entry
        for entry in findings
        if entry["subject"].startswith("drill: ")
    }
    assert {entry["verdict"] for entry in drill.values()} == {"ok"}, drill
    found = {subject: entry["found"] for subject, entry in drill.items()}
    assert found["notice"] == "the batch process heard it, and the worker once, by us"
    assert found["requeue"] == "a job requeues itself from the host, and has a second life"
    assert re.fullmatch(
        r"a requeued job waits \d+ s; `scontrol update StartTime=now` skips it", found["delay"]
    )
    assert found["checkpoint"] == "the second life found what the first had written"
    assert re.search(r"SIGTERM after \d+ s, killed after \d+ s", found["time limit"])
    assert "the batch process hears SIGCONT and SIGTERM" in found["kill"]
    assert found["memory"] == "a job that waits may be given more (1.25 GB)"
    assert found["sbatch in a job"] == "works: the sweep goes on by itself"
    assert found["image"] == "mounted by squashfuse_ll; it can still be read after the notice"
    assert re.fullmatch(r"/\S+: \S+, [\d,]+ GB free", found["scratch"])
    assert slurm.run("squeue", "-h").stdout == ""
    assert list((slurm.home / "runs/shared/drill").iterdir()) == []


def test_drill_that_is_interrupted_leaves_no_job(slurm, python, profile):
    command = [python, "-m", "mtljobs", "doctor", "--profile", profile(partition="low"), "--drill"]
    names = {"HOME": slurm.home, "USER": slurm.user, "PATH": os.defpath}
    with subprocess.Popen(
        command,
        user=slurm.user,
        cwd=slurm.home,
        env={**slurm.environment, **names},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(
            lambda: len(slurm.run("squeue", "-h").stdout.splitlines()) == 3, "3 jobs", timeout_s=30
        )
        process.terminate()
        assert process.wait(30) != 0
    wait_until(lambda: slurm.run("squeue", "-h").stdout == "", "an empty queue", timeout_s=30)
