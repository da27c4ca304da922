"""The only function that an executor ever runs: plan line -> stage -> commit -> ledger.

Whatever line of this file is the last one executed: nothing that was committed is lost, nothing is
half visible, and the next attempt goes on from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mtljobs.contracts import Progress, Shard
from mtljobs.errors import InputMissing, MtljobsError, StopRequested, full_disk_advice
from mtljobs.ledger import attempts, claims
from mtljobs.ledger.commit import commit, new_staging
from mtljobs.ledger.files import remove_tree
from mtljobs.ledger.paths import (
    RunFolder,
    Workspace,
    claim_folder,
    create_folder,
    log_file,
    result_folder,
    scratch_folder,
)
from mtljobs.ledger.records import find_record, make_record
from mtljobs.ledger.versions import software_versions
from mtljobs.plan.frozen import Plan, read_plan
from mtljobs.settings.base import load, restore
from mtljobs.settings.resources import Resources
from mtljobs.stages.work import Work

HEARTBEAT_S = 60.0
LOGGED_EVERY_S = 5.0
IMAGE_VARIABLE = "MTLJOBS_IMAGE_DIGEST"
"""Tells a worker the SHA-256 of the container image that it runs in."""

_log = logging.getLogger("mtljobs")


def run_shard(plan_path: str, index: int) -> str:
    """Run one line of a plan; what executors are given.

    Args:
        plan_path: A file of a run's `plans` folder.
        index: Of the shard in that plan.

    Returns:
        How the attempt ended: "done", "duplicate", "waiting" or "preempted".
    """
    return execute(Path(plan_path), index)


def execute(plan_path: Path, index: int, *, shown: Progress | None = None) -> str:
    """Run one line of a plan in this process.

    Args:
        plan_path: A file of a run's `plans` folder.
        index: Of the shard in that plan.
        shown: Also told of the progress, for a terminal.

    Returns:
        How the attempt ended, as `run_shard`.

    Raises:
        Exception: Whatever the stage raised; it is on record, and a debugger sees it here.
    """
    plan = read_plan(plan_path)
    shard = plan.shards[index]
    run = RunFolder(plan_path.parent.parent)
    os.environ.update(thread_environment(shard))
    stop = StopSignal()
    image = os.environ.get(IMAGE_VARIABLE, "")
    attempt = attempts.begin(run.attempts, shard.name, device=device_name(), image=image)
    session = _Session(plan, shard, run, attempt, stop, shown)
    with stop.installed(), _logging_to(log_file(run, shard.name, attempt.number)):
        _log.info("attempt %d of %s on %s", attempt.number, shard.name, attempt.device)
        outcome: attempts.Outcome = "failed"
        detail = ""
        try:
            outcome = session.work()
        except StopRequested as event:
            outcome, detail = "preempted", str(event)
        except InputMissing as event:
            outcome, detail = "waiting", str(event)
        except MtljobsError as error:
            detail = " ".join([str(error), *getattr(error, "__notes__", [])])
            raise
        except BaseException as error:
            detail = full_disk_advice(error) or traceback.format_exc()
            raise
        finally:
            _log.info("%s %s", outcome, detail)
            _end(attempt, outcome, detail)
    return outcome


def _end(attempt: attempts.Attempt, outcome: attempts.Outcome, detail: str) -> None:
    """Write the end; where even that fails, as on a full disk, the first error is the news."""
    try:
        attempt.end(outcome, detail)
    except OSError:
        _log.exception("the end of the attempt could not be written")


KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # the most that every glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}
"""Makes glibc keep the memory of arrays up to 32 MiB for the next ones, instead of asking the
kernel for fresh pages each time: samples are read up to three times as fast (`docs/log.md`)."""


def thread_environment(shard: Shard) -> dict[str, str]:
    """Environment that libraries read as they load: threads, memory, and what cuBLAS may do."""
    threads = str(shard.spec.get("numerics", {}).get("threads", 1))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS")
    # Without a fixed workspace cuBLAS is not deterministic, and torch refuses to use it.
    return dict.fromkeys(names, threads) | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} | KEEP_MEMORY


def device_name() -> str:
    """What computes here, without asking torch: a GPU's model, or "cpu"."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("Model:"):
                    return line.partition(":")[2].strip()
    return "cpu"


class StopSignal:
    """True once this process was told to stop; forked children do not listen."""

    def __init__(self) -> None:
        self._asked = False
        self._pid = os.getpid()

    def __call__(self) -> bool:
        """Whether this process was told to stop."""
        return self._asked

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGUSR2 (preemption, time limit), Ctrl-C and a closed terminal."""
        numbers = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self) -> None:
        """Ask this process to stop."""
        self._asked = True

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._pid:
            return
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C means it
        self._asked = True


@dataclass
class _Session:
    """One attempt at one shard, from the claim to the commit."""

    plan: Plan
    shard: Shard
    run: RunFolder
    attempt: attempts.Attempt
    stop: StopSignal
    shown: Progress | None
    _logged_at: float = field(default=0.0, init=False)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.run.root.parent)

    def work(self) -> attempts.Outcome:
        scratch = scratch_folder(self.workspace, self.run, self.shard)
        with ExitStack() as held:
            claim = self._claim(held)
            held.enter_context(_heartbeat(self.attempt, claim, self.stop))
            if self.shard.stage == "reduce":
                self._stage(create_folder(self.run.tables), scratch)
                return "done"
            outcome: attempts.Outcome = "duplicate"
            if find_record(self.workspace, self.run, self.shard) is None:
                self._require_parents()
                outcome = self._compute(scratch)
            owns_scratch = claim is None or claim.renew()
        if owns_scratch:  # after the claim in it was released
            remove_tree(scratch)
        return outcome

    def _claim(self, held: ExitStack) -> claims.Claim | None:
        if not self.shard.shared:
            return None
        claim = claims.acquire(claim_folder(self.workspace, self.shard.identity))
        if claim is None:
            raise InputMissing(f"another attempt works on {self.shard.name}, maybe of another run")
        held.callback(claim.release)
        return claim

    def _require_parents(self) -> None:
        for parent in self.plan.shards:
            if parent.name not in self.shard.parents:
                continue
            if find_record(self.workspace, self.run, parent) is None:
                raise InputMissing(f"{parent.name} is not done yet")

    def _compute(self, scratch: Path) -> attempts.Outcome:
        output = self._new_output()
        try:
            self._stage(output, create_folder(scratch))
            return self._commit(output)
        except Exception:
            # Another attempt at the same shard may have finished, and taken the scratch along.
            if find_record(self.workspace, self.run, self.shard) is not None:
                return "duplicate"
            raise
        finally:
            remove_tree(output)

    def _commit(self, output: Path) -> attempts.Outcome:
        record = make_record(
            output,
            shard=self.shard.name,
            identity=self.shard.identity,
            versions=software_versions(),
        )
        merged = None if self.shard.shared else self.run.ledger / f"{self.shard.name}.json"
        target = result_folder(self.workspace, self.run, self.shard)
        return "done" if commit(output, target, record, merged=merged) else "duplicate"

    def _new_output(self) -> Path:
        if self.shard.shared:
            return new_staging(self.workspace.staging, self.shard.identity)
        return new_staging(self.run.staging, self.shard.name)

    def _stage(self, output: Path, scratch: Path) -> None:
        work = Work(
            shard=self.shard,
            layouts=self.plan.layouts,
            backend=self.plan.backend,
            resources=restore(Resources, self.plan.resources),
            run=self.run,
            workspace=self.workspace,
            output=output,
            scratch=scratch,
            stop=self.stop,
            progress=self._progress,
        )
        load(f"mtljobs.stages.{self.shard.stage}:run")(work)

    def _progress(self, done: int, total: int, what: str) -> None:
        if self.shown is not None:
            self.shown(done, total, what)
        if done == total or time.monotonic() - self._logged_at > LOGGED_EVERY_S:
            self._logged_at = time.monotonic()
            _log.info("%d of %d %s", done, total, what)


@contextmanager
def _heartbeat(
    attempt: attempts.Attempt, claim: claims.Claim | None, stop: StopSignal
) -> Iterator[None]:
    """Renew attempt and claim each minute, in a thread: a stage may be busy for longer."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            try:
                attempt.beat()
                if claim is not None and not claim.renew():
                    _log.warning("the claim was taken over: stopping")
                    stop.ask()
            except OSError as error:  # a file system that fails now may answer in a minute
                _log.warning("no sign of life written: %s", error)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Log to a file of the run."""
    create_folder(path.parent)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _log.addHandler(handler)
    level = _log.level
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.setLevel(level)
        _log.removeHandler(handler)
        handler.close()
