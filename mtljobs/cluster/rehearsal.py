"""What the drill's jobs run in the place of a worker, in the image where there is one.

The standard library alone, and nothing of the worker, so that what is seen is the cluster. Each
process writes what happens to it into a file of its own, a line at a time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType
from typing import Any

HEARD = ("SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGINT", "SIGHUP", "SIGXCPU")
LONGEST_S = 600.0
"""Nobody comes any more: end."""
BEAT_S = 1.0
READ = 32
"""Files of the image that are read to see whether it is still mounted."""


class Diary:
    """What happens to this process, a JSON object per line, written at once."""

    def __init__(self, folder: Path, who: str) -> None:
        self._file = os.open(folder / f"{who}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._life = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.heard: list[str] = []

    def write(self, what: str, **more: Any) -> None:
        """Add a line; a signal may come between two, never into one."""
        line = {"time": time.time(), "life": self._life, "what": what, **more}
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def listen(self) -> None:
        """Write down every signal from now on, and live on."""
        for name in HEARD:
            signal.signal(signal.Signals[name], self._hear)

    def _hear(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        self.heard.append(name)
        self.write("signal", name=name)


def act(folder: str, case: str) -> str:
    """Play the worker of a case until it is told to end, or killed.

    Args:
        folder: Where to write; seen by all nodes.
        case: "notice" ends when it is told; the others wait for what comes.

    Returns:
        "resumed" where an earlier life had left a checkpoint; else "stopped" or "nobody came".
    """
    place = Path(folder)
    diary = Diary(place, "payload")
    diary.listen()
    checkpoint = place / "checkpoint"
    resumed = checkpoint.exists()
    image = os.environ.get("APPTAINER_CONTAINER")
    diary.write("start", resumed=resumed, image=image, gpus=find_gpus())
    if resumed and case == "notice":
        return "resumed"
    end = time.monotonic() + LONGEST_S
    told = False
    while time.monotonic() < end:
        _write_checkpoint(checkpoint, diary)
        if diary.heard and not told:
            told = True
            diary.write("image", problem=read_image())
        if told and case == "notice":
            diary.write("end")
            return "stopped"
        time.sleep(BEAT_S)
    return "nobody came"


def _write_checkpoint(checkpoint: Path, diary: Diary) -> None:
    aside = checkpoint.with_suffix(".aside")
    aside.write_text(str(time.time()))
    aside.replace(checkpoint)
    diary.write("beat")


def find_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as the driver's own tool tells them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    try:
        done = subprocess.run(  # noqa: S603 (no shell)
            [tool, "-L"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.startswith("GPU ")]


def read_image() -> str | None:
    """What goes wrong with reading files of the system; None where nothing does."""
    try:
        files = [path for path in Path("/usr/bin").iterdir() if path.is_file()]
        for path in random.sample(files, min(READ, len(files))):
            with path.open("rb") as file:
                file.read(4096)
    except OSError as error:
        return error.strerror or str(error)
    return None
