"""A rehearsal on the user's own cluster: three jobs at once, and what really happens to them.

"notice" is told as by a time limit or a preemption, requeues itself, and goes on; "limit" runs into
its time limit; "kill" is requeued without a word, given more memory, and cancelled. The jobs are
submitted as shards are, and write down what they see; the drill watches, and does what a user or
the cluster would do.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import submitit
from submitit.core.utils import FailedJobError

from mtljobs.cluster import rehearsal
from mtljobs.cluster.asking import ask, clean_environment
from mtljobs.cluster.parameters import job_parameters
from mtljobs.cluster.rehearsal_host import PART
from mtljobs.cluster.site import Site
from mtljobs.errors import UserError
from mtljobs.ledger.files import remove_tree, replace_file, to_json
from mtljobs.ledger.paths import Workspace, create_folder
from mtljobs.settings.base import canonical
from mtljobs.settings.profile import Profile

Case = Literal["notice", "limit", "kill"]
Who = Literal["host", "payload"]
MINUTES: Mapping[Case, int] = {"notice": 8, "limit": 1, "kill": 8}
NOTICE_S = 30
"""Within a limit of one minute."""
MEMORY_GB, MORE_GB = 1.0, 1.25
LOOK_S = 2.0
PATIENCE_S = 1800.0
"""How long the whole may take, waiting in the queue included."""

Event = Mapping[str, Any]


@dataclass
class Scene:
    """One job of the drill.

    Attributes:
        case: What it plays.
        folder: Its own; where its processes write.
        job: Slurm's id.
        notes: What the drill saw of it and did to it, in the form of its processes' events.
        is_over: Whether it has left the queue.
    """

    case: Case
    folder: Path
    job: str
    notes: list[Event] = field(default_factory=list)
    is_over: bool = False

    def note(self, what: str, **more: Any) -> None:
        """Remember what was seen or done now."""
        self.notes.append({"time": time.time(), "what": what, **more})

    def noted(self, what: str) -> Event | None:
        """The first note of a kind."""
        return next((note for note in self.notes if note["what"] == what), None)

    def events(self, who: Who) -> list[Event]:
        """What a process has written so far, all its lives."""
        try:
            lines = (self.folder / f"{who}.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def signals(self, who: Who, *, life: int = 0) -> list[str]:
        """Names of the signals that a process heard in one life, in order."""
        return [event["name"] for event in self.find(who, "signal", life=life)]

    def find(self, who: Who, what: str, *, life: int = 0) -> list[Event]:
        """Events of one kind in one life."""
        return [e for e in self.events(who) if (e["what"], e["life"]) == (what, life)]


def rehearse(profile: Profile, workspace: Workspace, *, tell: Callable[[str], None]) -> list[Scene]:
    """Play all three scenes to their end.

    Args:
        profile: That the jobs follow.
        workspace: Its `shared/drill/` holds what the jobs write, until somebody clears it.
        tell: Told what happens, a line at a time.

    Raises:
        UserError: No Slurm answers, or it refused a job.
    """
    site = Site.read()
    if site is None:
        raise UserError("no Slurm answers here, so there is nothing to rehearse on.")
    partition = site.partition(profile.partition)
    gpu = partition is not None and bool(partition.gpu_models)
    place = create_folder(workspace.shared / "drill" / str(time.time_ns()))
    scenes: list[Scene] = []
    with _cancelling(scenes):
        for case in MINUTES:
            scenes.append(_submit(case, place / case, profile, gpu=gpu))
            tell(f"submitted {case!r} as job {scenes[-1].job}")
        end = time.monotonic() + PATIENCE_S
        while not all(scene.is_over for scene in scenes) and time.monotonic() < end:
            time.sleep(LOOK_S)
            _look(scenes, tell)
    return scenes


def clear(scenes: list[Scene]) -> None:
    """Remove what the jobs have written."""
    for folder in {scene.folder.parent for scene in scenes}:
        remove_tree(folder)


@contextmanager
def _cancelling(scenes: list[Scene]) -> Iterator[None]:
    """Whatever happens inside, none of the jobs stays in the queue."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: sys.exit(1)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        left = [scene.job for scene in scenes if not scene.is_over]
        if left:
            ask("scancel", *left)


def _submit(case: Case, folder: Path, profile: Profile, *, gpu: bool) -> Scene:
    replace_file(
        create_folder(folder) / PART,
        to_json({"case": case, "profile": canonical(profile), "gpu": gpu}),
    )
    python = f"exec {shlex.quote(sys.executable)} -m {rehearsal.__name__}_host"
    executor = submitit.SlurmExecutor(folder=folder, python=python)
    executor.update_parameters(
        **job_parameters(
            dataclasses.replace(profile, notice_s=NOTICE_S),
            name=f"mtljobs-drill-{case}",
            minutes=MINUTES[case],
            memory_gb=MEMORY_GB,
            cpus=1,
            gpus=int(gpu),
        )
    )
    try:
        with clean_environment():
            job = executor.submit(rehearsal.act, str(folder), case)
    except FailedJobError as error:
        raise UserError(
            f"sbatch refused the drill's job {case!r}: {error}. Mend the profile; `mtljobs doctor` "
            "without --drill may say where."
        ) from error
    scene = Scene(case, folder, job.job_id)
    scene.note("submitted")
    return scene


def _look(scenes: list[Scene], tell: Callable[[str], None]) -> None:
    """See how the jobs are, and do to each what is due."""
    jobs = ",".join(scene.job for scene in scenes)
    answer = ask("squeue", "--noheader", f"--jobs={jobs}", "--format=%A|%T|%r|%S")
    if answer.problem is not None and "Invalid job id" not in answer.problem:
        return
    rows = [line.split("|") for line in answer.text.splitlines()]
    states = {job: (state, reason, start) for job, state, reason, start in rows}
    for scene in scenes:
        if scene.is_over:
            continue
        state, reason, start = states.get(scene.job, ("", "", ""))
        scene.note("state", state=state, reason=reason, start=start)
        if state:
            _step(scene, state, tell)
        else:
            scene.is_over = True
            scene.note("over", state=_final_state(scene.job))
            tell(f"{scene.case}: over")


def _step(scene: Scene, state: str, tell: Callable[[str], None]) -> None:
    """Do what is due and was not done yet; note what came of it."""
    for what, command, why in _due(scene, state):
        if scene.noted(what) is None:
            scene.note(what, problem=ask(*command).problem)
            tell(f"{scene.case}: {why} (`{' '.join(command)}`)")


def _due(scene: Scene, state: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    job, change = scene.job, ("scontrol", "update", f"JobId={scene.job}")
    if state == "PENDING" and scene.find("host", "start"):
        if scene.case == "kill":
            memory = f"MinMemoryNode={round(MORE_GB * 1024)}"
            yield "memory", (*change, memory), "more memory for its next life"
        yield "hurry", (*change, "StartTime=now"), "back in the queue; asked to begin at once"
    elif scene.case == "notice" and scene.find("host", "ready") and _has_begun(scene, life=0):
        yield "tell", ("scancel", "--batch", "--signal=USR2", job), "told as before a time limit"
    elif scene.case == "kill" and _has_begun(scene, life=1):
        yield "cancel", ("scancel", job), "cancelled in its second life"
    elif scene.case == "kill" and _has_begun(scene, life=0):
        yield "requeue", ("scontrol", "requeue", job), "requeued without a word"


def _has_begun(scene: Scene, *, life: int) -> bool:
    """Whether the payload of this life works."""
    return bool(scene.find("payload", "beat", life=life))


def _final_state(job: str) -> str:
    words = ask("scontrol", "show", "job", "--oneliner", job).text.split()
    return next((word.partition("=")[2] for word in words if word.startswith("JobState=")), "")
