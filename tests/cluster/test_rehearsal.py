"""The two processes of a drill's job, without Slurm: who hears what, and what is written down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtljobs.cluster import rehearsal_host
from mtljobs.settings.base import canonical
from mtljobs.settings.profile import Profile

ACT = "import sys; from mtljobs.cluster.rehearsal import act; act(sys.argv[-1], 'notice')"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands that note what they were asked; `scontrol requeue` ends the job, as Slurm does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, more in {
        "sbatch": "echo 77",
        "scancel": "",
        "scontrol": "(sleep 0.3; kill -TERM $PPID; sleep 0.3; kill -KILL $PPID) >/dev/null 2>&1 &",
    }.items():
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {folder}/asked\n{more}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    return folder / "asked"


@pytest.fixture
def job(tmp_path, slurm):
    """Starts the job, in one of its lives, as a batch script would become it."""
    profile = Profile(scratch="$SCRATCH", account="vision", host_partition="short")
    part = {"case": "notice", "profile": canonical(profile), "gpu": False}
    (tmp_path / rehearsal_host.PART).write_text(json.dumps(part))

    def start(life=0):
        command = [sys.executable, "-m", "mtljobs.cluster.rehearsal_host", "-c", ACT, tmp_path]
        environment = dict(os.environ)
        if life:
            environment["SLURM_RESTART_COUNT"] = str(life)
        return subprocess.Popen(command, env=environment)

    return start


def events(folder, who, life=0):
    path = folder / f"{who}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["life"] == life]


def words(folder, who, life=0):
    """What happened, but for the beats."""
    found = [event["what"] for event in events(folder, who, life)]
    return [word for word in found if word != "beat"]


def wait_for(holds):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_notice_reaches_the_payload_once_and_the_job_goes_on_in_a_second_life(job, tmp_path, slurm):
    with job() as first:
        wait_for(lambda: "ready" in words(tmp_path, "host") and events(tmp_path, "payload")[1:])
        first.send_signal(signal.SIGUSR2)
        assert first.wait(30) == -signal.SIGKILL
    assert words(tmp_path, "payload") == ["start", "signal", "image", "end"]
    assert words(tmp_path, "host") == [
        "start", "sbatch", "scratch", "ready", "signal", "told", "payload ended", "requeue",
        "signal",
    ]  # fmt: skip
    with job(life=1) as second:
        assert second.wait(30) == 0
    assert events(tmp_path, "payload", life=1)[0]["resumed"] is True
    assert words(tmp_path, "payload", life=1) == ["start"]
    asked = slurm.read_text().splitlines()
    assert asked[0] == (
        "sbatch --parsable --hold --time=1 --output=/dev/null --job-name=mtljobs-drill-probe "
        "--partition=short --account=vision --wrap=true"
    )
    assert asked[1:3] == ["scancel 77", "scontrol requeue 12"]


def test_what_shards_need_is_tried_and_written_down(job, tmp_path, slurm):
    slurm.with_name("sbatch").write_text("#!/bin/sh\necho 'submission denied' >&2\nexit 1\n")
    with job() as process:
        wait_for(lambda: "ready" in words(tmp_path, "host"))
        process.terminate()
    found = {event["what"]: event for event in events(tmp_path, "host")}
    assert found["sbatch"]["problem"] == "`sbatch`: submission denied"
    assert (found["scratch"]["problem"], found["scratch"]["place"]) == (None, str(tmp_path))


def test_process_that_mounts_an_image_is_found_below_its_own(tmp_path):
    """Wherever it stands: Apptainer's starter has others between."""
    program = tmp_path / "squashfuse_ll"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen(["/bin/sh", "-c", f"{program} 30 & wait"]) as shell:
        wait_for(lambda: rehearsal_host.find_fuse(shell.pid) == "squashfuse_ll")
        subprocess.run(["pkill", "-P", str(shell.pid)], check=True)
    assert rehearsal_host.find_fuse(os.getpid()) is None
