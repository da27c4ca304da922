"""What goes on by itself on Slurm: windows of arrays, each followed by a sweep.

A sweep is a small job that starts when the jobs of its window have ended. It reads the ledger and
submits the next window, or what the retry policy allows, and after that the reduction. There is no
head process; whoever submits holds the run's claim, so a run has one driver at a time.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

from mtljobs.cluster.history import forgive
from mtljobs.cluster.local import sole_driver
from mtljobs.cluster.marker import SWEEP, find_submissions
from mtljobs.cluster.profiles import rights, run_profile
from mtljobs.cluster.slurm_driver import SlurmDriver, Submission
from mtljobs.cluster.states import RunState, read_states
from mtljobs.errors import DrivenAlreadyError, UserError
from mtljobs.ledger.liveness import SILENCE_LIMIT_S
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.settings.base import restore
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources

PATIENCE_S = 10.0
"""How long `submit` and `resume` wait for a sweep that is submitting."""
TRIES, PAUSE_S = 10, 30.0
"""How often a sweep asks Slurm, which may be restarting, and how long it waits in between."""

_log = logging.getLogger("mtljobs.sweep")


def submit_run(run: RunFolder, *, retry_failed: bool) -> Submission:
    """Queue the next window of a run by hand, and the sweep that goes on after it.

    Args:
        run: Its newest plan and its profile count.
        retry_failed: Forgive what has happened so far: failed shards are tried again too.

    Raises:
        DrivenAlreadyError: Somebody else is at it.
        UserError: Slurm refused, cannot write to a folder of this name, or has not the time.
    """
    profile = run_profile(run)
    _require_plain(run.root)
    with rights(profile), sole_driver(run, patience_s=PATIENCE_S) as claim:
        state = read_states(run)
        _require_time(state, profile)
        if retry_failed:
            forgive(state)
        return SlurmDriver(state, profile, claim, round=0).go_on()


def sweep_run(run_root: str) -> str:
    """Go on with a run where its last window has ended; what a sweep's job runs.

    Returns:
        What it came to; the run keeps it too.

    Raises:
        DrivenAlreadyError: Somebody else drives the run, and goes on with it.
        UserError: Slurm refused each time.
    """
    # submitit listens to SIGTERM and stays; any line here may be the last one, so end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run = RunFolder(Path(run_root))
    with rights(run_profile(run)):
        try:
            words = _sweep_patiently(run)
        except Exception as problem:
            _note(run, f"the sweep could not go on: {problem} `mtljobs resume` goes on.")
            raise
        _note(run, words)
    return words


def _sweep_patiently(run: RunFolder) -> str:
    """Sweep, again and again where Slurm does not answer or refuses: nobody else would go on."""
    for _ in range(TRIES - 1):
        try:
            return _sweep(run)
        except DrivenAlreadyError:
            raise
        except UserError as problem:
            _log.warning("%s", problem)
            time.sleep(PAUSE_S)
    return _sweep(run)


def _sweep(run: RunFolder) -> str:
    # A claim of a process that died on another node is held until it was silent so long.
    with sole_driver(run, patience_s=SILENCE_LIMIT_S + 60) as claim:
        driver = SlurmDriver(read_states(run), run_profile(run), claim, round=_last_round(run))
        return driver.go_on(own=os.environ.get("SLURM_JOB_ID")).words


def _last_round(run: RunFolder) -> int:
    """Of the newest sweep, by its marker: this one, or the one of somebody who came in between."""
    rounds = [marker.round for marker in find_submissions(run).values() if marker.stage == SWEEP]
    return rounds[-1] if rounds else 0


def _note(run: RunFolder, words: str) -> None:
    create_folder(run.sweeps.parent)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with run.sweeps.open("a", encoding="utf-8") as file:
        file.writelines(f"{stamp} {line}\n" for line in words.splitlines())


def _require_time(state: RunState, profile: Profile) -> None:
    resources: Resources = restore(Resources, state.plan.resources)
    asked, most = resources.walltime_min, profile.walltime_max_min
    if most is not None and asked > most:
        raise UserError(
            f"the grid's [resources] ask for walltime_min = {asked}, and the profile's partition "
            f"ends jobs after {most} minutes: such a job would wait for ever. "
            "Lower walltime_min (shards go on from their checkpoints), or choose another profile."
        )


def _require_plain(folder: Path) -> None:
    if set(str(folder)) & set("%\\\n\r"):
        raise UserError(
            f"Slurm cannot write to {str(folder)!r}, as %, \\ and line ends mean something else to "
            "it. Choose another --workspace, or --executor local."
        )
