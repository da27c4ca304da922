"""The drill's side of a job on the host: `python -m mtljobs.cluster.rehearsal_host WORKER...`.

A batch script becomes this program, as it becomes the supervisor in a run. It starts the payload,
passes the first notice on, requeues where the case asks for it, tries what shards will need, and
writes down all that comes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtljobs.cluster.asking import ask
from mtljobs.cluster.container import Bind, Container, interpreter
from mtljobs.cluster.folder_checks import find_file_system
from mtljobs.cluster.rehearsal import BEAT_S, Diary, find_gpus
from mtljobs.ledger.files import read_json
from mtljobs.settings.base import restore
from mtljobs.settings.profile import Profile

PART = "part.json"
"""What the job is to do: its case, its profile, whether it has a GPU."""
FAREWELL_S = 180.0
"""How long a requeued job waits to be ended."""


def main(arguments: Sequence[str]) -> int:
    """Play the host of a case; the last of the worker's arguments is the job's folder."""
    folder = Path(arguments[-1])
    part = read_json(folder / PART)
    profile: Profile = restore(Profile, part["profile"])
    os.umask(int(profile.umask, 8))
    diary = Diary(folder, "host")
    diary.listen()
    diary.write("start", node=os.environ.get("SLURMD_NODENAME", ""), gpus=find_gpus())
    payload = _start(arguments, folder, profile, gpu=part["gpu"])
    if part["case"] == "notice" and not diary.heard:
        _try_what_shards_need(profile, diary)
    code = _watch(payload, diary)
    diary.write("payload ended", code=code)
    if part["case"] == "notice" and {"SIGUSR2", "SIGTERM"} & set(diary.heard):
        _give_back(diary)
    return 0


def _start(
    arguments: Sequence[str], folder: Path, profile: Profile, *, gpu: bool
) -> subprocess.Popen[bytes]:
    # submitit shall not listen: the notice is the payload's.
    environment: Mapping[str, str] = {**os.environ, "SUBMITIT_PREEMPT_SIGNAL": "PWR"}
    command = [sys.executable, *arguments]
    if profile.image is not None:
        container = _make_container(profile.image, folder, profile, gpu=gpu)
        environment = container.environment(environment)
        command = container.argv(*arguments)
    # A group of its own: what Slurm signals is this process alone.
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603


def _make_container(image: str, folder: Path, profile: Profile, *, gpu: bool) -> Container:
    python, binds = interpreter(profile.environment)
    binds += [Bind(folder, writable=True), *(Bind(Path(place)) for place in profile.binds)]
    return Container(
        image=Path(image),
        python=python,
        folder=folder,
        binds=tuple(binds),
        gpu=gpu,
        options=profile.container_options,
        variables={},
    )


def _watch(payload: subprocess.Popen[bytes], diary: Diary) -> int:
    """The payload's exit code, once it has ended; the first notice is passed on, once."""
    told = False
    while payload.poll() is None:
        if not told and {"SIGUSR2", "SIGTERM"} & set(diary.heard):
            told = True
            diary.write("told", fuse=find_fuse(payload.pid))
            payload.send_signal(signal.SIGUSR2)
        diary.write("beat")
        time.sleep(BEAT_S)
    return payload.returncode


def find_fuse(pid: int) -> str | None:
    """Name of a process below another one that mounts an image by FUSE; None: the kernel does."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            begin, _, rest = status.read_text(errors="replace").rpartition(")")
            number, _, name = begin.partition(" (")
            parents[int(number)], names[int(number)] = int(rest.split()[1]), name
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return next((names[child] for child in sorted(below) if "fuse" in names.get(child, "")), None)


def _give_back(diary: Diary) -> None:
    """Requeue this job, and wait to be ended: a job that ends by itself is over."""
    diary.write("requeue", problem=ask("scontrol", "requeue", os.environ["SLURM_JOB_ID"]).problem)
    end = time.monotonic() + FAREWELL_S
    while time.monotonic() < end:
        diary.write("beat")
        time.sleep(BEAT_S)


def _try_what_shards_need(profile: Profile, diary: Diary) -> None:
    diary.write("sbatch", problem=_try_sbatch(profile))
    if profile.scratch is not None:
        diary.write("scratch", **_try_scratch(profile.scratch))
    diary.write("ready")


def _try_sbatch(profile: Profile) -> str | None:
    """Whether a job may submit a job: one that is held, and taken back at once."""
    wishes = {
        "partition": profile.host_partition or profile.partition,
        "account": profile.account,
        "qos": profile.qos,
    }
    options = [f"--{name}={value}" for name, value in wishes.items() if value is not None]
    answer = ask(
        "sbatch", "--parsable", "--hold", "--time=1", "--output=/dev/null",
        "--job-name=mtljobs-drill-probe", *options, "--wrap=true",
    )  # fmt: skip
    if answer.problem is None:
        ask("scancel", answer.text.strip().partition(";")[0])
    return answer.problem


def _try_scratch(scratch: str) -> dict[str, Any]:
    place = Path(os.path.expandvars(scratch))
    if "$" in str(place):
        return {"problem": f"{scratch} is not set in a job"}
    try:
        trial = place / f".mtljobs-drill-{os.getpid()}"
        trial.write_bytes(b"x" * 1_000_000)
        trial.unlink()
        free_gb = shutil.disk_usage(place).free / 1e9
    except OSError as error:
        return {"problem": f"{place}: {error.strerror}"}
    return {
        "problem": None,
        "place": str(place),
        "kind": find_file_system(place)[0],
        "free_gb": free_gb,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
