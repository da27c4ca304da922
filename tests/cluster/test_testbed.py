"""The test bed itself: a Slurm that behaves as clusters do, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtljobs.cluster.queue import read_limits
from testbed.folder import ROOT
from testbed.keeper import CGROUPS
from testbed.machine import BoxError, wait_until
from testbed.slurm import SlurmBox
from testbed.user import make_python

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
# Detaches itself from its job, so that no step knows it.
SLEEP = f"sleep 1000.{os.getpid()}"
DETACHED = f"--wrap=setsid --fork {SLEEP}; sleep 60"

pytestmark = pytest.mark.testbed(grace_s=0)


def traces(box):
    """What is on this machine of a box: processes, mounts, its user, its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = [(process / "cmdline").read_bytes().replace(b"\0", b" ").decode()]
            seen += [str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue  # it has ended meanwhile
        if process.name != str(os.getpid()):
            found += [text for text in seen if str(box.folder) in text or text == f"{SLEEP} "]
    found += [line for line in _lines("/proc/self/mounts") if str(box.folder) in line]
    found += [line for line in _lines("/etc/subuid") if line.startswith(f"{box.user}:")]
    found += [user.pw_name for user in pwd.getpwall() if user.pw_name == box.user]
    found += [str(folder) for folder in ROOT.glob("*/") if folder == box.folder]
    found += map(str, CGROUPS.glob(f"slurm_*/*/job_{box.layout.first_job}"))
    return found


def commands_of(uid):
    """Names of the processes that a user has."""
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if process.stat().st_uid == uid:
                names.add((process / "comm").read_text().strip())
    return names


@pytest.fixture
def other_process():
    """Starts a process that has a box up with a job in it, and says which."""
    program = f"""
import time
from testbed.slurm import SlurmBox
box = SlurmBox.start()
box.wait_for(box.submit({DETACHED!r}), "RUNNING")
print(box.folder, flush=True)
time.sleep(300)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CONTAINERS)},
    )
    with process:
        yield process, SlurmBox.find(Path(process.stdout.readline().strip()))
        process.kill()


def test_job_runs_on_one_of_two_idle_nodes(slurm):
    assert slurm.run("sinfo", "-hN", "-p", "low", "-o", "%N %T").stdout == "n1 idle\nn2 idle\n"
    job = slurm.submit("--wrap=echo $SLURM_JOB_ID", "--output=out.txt", as_user=True)
    assert slurm.wait_for(job, "COMPLETED")["NodeList"] == "n1"
    assert (slurm.home / "out.txt").read_text() == f"{job}\n"


def test_this_process_submits_to_the_box(slurm):
    assert os.environ["SLURM_CONF"].startswith(str(slurm.folder))
    assert read_limits().array == 1001


@pytest.mark.testbed(max_array_size=11)
def test_options_of_a_test_add_to_those_of_its_module(slurm):
    assert read_limits().array == 11
    assert slurm.layout.options.grace_s == 0
    with pytest.raises(BoxError, match="Invalid job array specification"):
        slurm.submit("--array=0-11", "--wrap=true")


def test_next_test_finds_the_box_clean(slurm):
    """Cleaned as before every test: no job, two nodes, every daemon."""
    slurm.submit("--array=0-9", "--wrap=trap '' TERM; sleep 60")
    slurm.set_node("n1", "down")
    slurm.kill("n2")
    (slurm.home / "left").mkdir()
    slurm.clean()
    assert list(slurm.home.iterdir()) == []
    assert slurm.run("squeue", "-h").stdout == ""
    assert slurm.run("sinfo", "-hN", "-p", "low", "-o", "%N %T").stdout == "n1 idle\nn2 idle\n"


def test_preempted_job_is_requeued_and_starts_again(slurm):
    low = slurm.submit("--nodes=2", "--exclusive", "--wrap=sleep 60")
    slurm.wait_for(low, "RUNNING")
    high = slurm.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=true")
    slurm.wait_for(high, "COMPLETED")
    assert slurm.wait_for(low, "RUNNING")["Restarts"] == "1"


@pytest.mark.testbed(grace_s=1)
def test_notice_of_a_preemption_is_the_signal_that_the_job_asked_for(slurm):
    text = "trap 'echo told; scontrol requeue $SLURM_JOB_ID; sleep 60' USR2; sleep 60 & wait"
    output = slurm.home / "out.txt"
    low = slurm.submit(
        "--nodes=2",
        "--exclusive",
        "--signal=B:USR2@60",
        "--open-mode=append",
        f"--wrap={text}",
        f"--output={output}",
        as_user=True,
    )
    slurm.wait_for(low, "RUNNING")
    time.sleep(1)  # until its trap is set
    high = slurm.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=true")
    slurm.wait_for(high, "COMPLETED")
    assert output.read_text().startswith("told\n")
    assert slurm.describe(low)["Restarts"] == "1"


def test_node_that_goes_down_gives_its_job_back(slurm):
    job = slurm.submit("--nodelist=n1", "--wrap=sleep 60")
    slurm.wait_for(job, "RUNNING")
    slurm.set_node("n1", "down")
    assert slurm.wait_for(job, "PENDING")["Restarts"] == "1"
    slurm.set_node("n1", "resume")
    slurm.run("scontrol", "update", f"jobid={job}", "starttime=now")
    slurm.wait_for(job, "RUNNING")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_queue_survives_a_restart_of_slurmctld(slurm, number):
    running = slurm.submit("--wrap=sleep 60")
    slurm.wait_for(running, "RUNNING")
    waiting = slurm.submit("--hold", "--wrap=true")
    time.sleep(6)  # slurmctld writes its state at the latest then
    slurm.kill("slurmctld", number)
    assert slurm.run("scontrol", "ping", check=False).returncode == 1
    slurm.revive("slurmctld")
    assert slurm.describe(running)["JobState"] == "RUNNING"
    assert slurm.describe(waiting)["JobState"] == "PENDING"


def test_job_survives_its_slurmd(slurm):
    job = slurm.submit("--nodelist=n1", "--wrap=sleep 2")
    slurm.wait_for(job, "RUNNING")
    slurm.kill("n1")
    slurm.revive("n1")
    assert slurm.wait_for(job)["JobState"] == "COMPLETED"


@pytest.mark.testbed(enforce_memory=True)
def test_job_that_takes_more_memory_than_it_asked_for_is_out_of_memory(slurm):
    command = f"exec {sys.executable} -c 'bytearray(200 << 20)'"
    job = slurm.submit("--mem=50", f"--wrap={command}")
    end = slurm.wait_for(job)
    assert (end["JobState"], end["ExitCode"]) == ("OUT_OF_MEMORY", "0:125")
    enough = slurm.submit("--mem=500", f"--wrap={command}")
    assert slurm.wait_for(enough)["JobState"] == "COMPLETED"


@pytest.mark.testbed(gpus=2)
def test_job_gets_the_gpus_that_it_asks_for(slurm):
    text = "--wrap=echo $CUDA_VISIBLE_DEVICES"
    job = slurm.submit("--gpus-per-node=2", "--output=out.txt", text, as_user=True)
    slurm.wait_for(job, "COMPLETED")
    assert (slurm.home / "out.txt").read_text() == "0,1\n"
    with pytest.raises(BoxError, match="not available"):
        slurm.submit("--gpus-per-node=3", "--wrap=true")


def test_finished_jobs_are_read_without_accounting(slurm):
    job = slurm.submit("--wrap=exit 3")
    slurm.wait_for(job, "FAILED")
    assert slurm.run("sacct", check=False).returncode == 1
    history = slurm.run(
        "sacct", "--completion", "--noheader", "--parsable2", "--format=jobid,state"
    )
    assert f"{job}|FAILED" in history.stdout.splitlines()


def test_image_is_mounted_by_fuse_for_a_user(slurm, image):
    """As on clusters, where nobody is root."""
    inside = "import os, time; print(os.getuid(), flush=True); time.sleep(30)"
    command = f"exec apptainer exec {image} python3 -c '{inside}'"
    job = slurm.submit("--output=out.txt", f"--wrap={command}", as_user=True)
    slurm.wait_for(job, "RUNNING")
    uid = pwd.getpwnam(slurm.user).pw_uid
    output = slurm.home / "out.txt"
    wait_until(lambda: output.exists() and str(uid) in output.read_text(), "uid", timeout_s=20)
    # Apptainer's starter, python, and what mounts the image.
    assert "squashfuse_ll" in commands_of(uid)


def test_image_runs_as_root_in_a_job(slurm, image, tmp_path):
    output = tmp_path / "out.txt"
    command = f"apptainer exec {image} python3 -c 'import os; print(os.getuid())'"
    slurm.wait_for(slurm.submit(f"--output={output}", f"--wrap={command}"), "COMPLETED")
    assert output.read_text().splitlines()[-1] == "0"


def test_user_imports_the_packages_of_this_process_on_the_host_and_in_the_image(slurm, image):
    python = make_python(slurm, CONTAINERS.parent)
    program = "import mtljobs, numpy; print(mtljobs.__file__, numpy.__version__)"
    host = slurm.run(python, "-c", program, as_user=True).stdout
    assert host.split()[0].endswith("mtljobs/__init__.py")
    binds = [part for path in python.parent.parent.rglob("testbed.pth") for part in _folders(path)]
    binds = [f"--bind={folder}" for folder in [*binds, python.parent.parent]]
    inside = ("apptainer", "exec", "--no-home", *binds, image, python, "-c", program)
    assert slurm.run(*inside, as_user=True).stdout == host


def test_user_reads_a_folder_that_only_root_may(slurm, tmp_path):
    """Packages often lie in root's home; here within pytest's folder, which is private too."""
    tmp_path.chmod(0o755)
    (tmp_path / "only_here.py").write_text("")
    python = make_python(slurm, tmp_path)
    assert make_python(slurm, tmp_path) == python
    slurm.run(python, "-c", "import only_here", as_user=True)
    with pytest.raises(BoxError, match="Permission denied"):
        slurm.run("cat", tmp_path / "only_here.py", as_user=True)


def test_nothing_is_left_of_a_box_that_was_stopped(tmp_path):
    """Least of all a mount through which its folder's end would reach the files of others."""
    tmp_path.chmod(0o755)
    (tmp_path / "precious").touch()
    with SlurmBox.start() as box:
        box.wait_for(box.submit(DETACHED), "RUNNING")
        make_python(box, tmp_path)
        assert len(traces(box)) > 5
    assert traces(box) == []
    assert (tmp_path / "precious").exists()


def test_box_is_gone_when_its_process_was_killed(other_process):
    process, box = other_process
    assert len(traces(box)) > 5
    process.kill()
    wait_until(lambda: not traces(box), "the box to be gone", timeout_s=20)


def test_next_start_clears_a_box_whose_keeper_was_killed_and_nothing_else(other_process):
    process, box = other_process
    os.kill(int((box.folder / "keeper.pid").read_text()), signal.SIGKILL)
    assert len(traces(box)) > 5  # the job, the user, the folder
    with SlurmBox.start():
        assert traces(box) == []
    assert process.poll() is None  # our own child is none of the box's


def _lines(path):
    return Path(path).read_text().splitlines()


def _folders(path):
    return [line.split("'")[1] for line in path.read_text().splitlines()]
