"""The local executor: one driver that keeps this machine's cores busy with a run's shards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import submitit

from mtljobs import worker
from mtljobs.cluster.runs import is_driven, run_workspace
from mtljobs.cluster.states import STAGE_ORDER, RunState, ShardState, Watcher, read_states
from mtljobs.contracts import Shard
from mtljobs.errors import DrivenAlreadyError, MtljobsError, UserError
from mtljobs.ledger import claims
from mtljobs.ledger.commit import sweep_run, sweep_shared
from mtljobs.ledger.paths import RunFolder, claim_folder, create_folder

POLL_S = 0.25


@dataclass
class LocalDriver:
    """Runs a run's shards here, each as a submitit local job started when its parents are done.

    Restarts by itself what was preempted or waits for another run's network; what failed or was
    killed is tried again only if the driver was told to, and once.

    Attributes:
        run: Its newest plan is read anew whenever it grows.
        slots: Shards at a time.
        retry_failed: Try failed shards again, as `mtljobs resume` does.
        watch: Told how the run stands.
    """

    run: RunFolder
    slots: int
    retry_failed: bool
    watch: Watcher
    _jobs: dict[str, _Job] = field(default_factory=dict, init=False)
    _tried: set[str] = field(default_factory=set, init=False)
    _stopping: bool = field(default=False, init=False)

    def drive(self) -> RunState:
        """Work until nothing is left that can go on; reduce once every shard is done.

        What the merge quarantines, and what another submission adds meanwhile, is worked on too.

        Raises:
            UserError: Another driver works on this run already, or a worker died before it could
                write its first record.
            MtljobsError: The reduction failed, twice, or where nothing can mend it.
        """
        with sole_driver(self.run) as claim, _interruptible(self._stop):
            sweep_run(self.run)
            sweep_shared(run_workspace(self.run))
            executor = _make_executor(self.run)
            problem: MtljobsError | None = None
            while True:
                state = self._work(executor, claim)
                if state.is_complete or self._stopping or not state.all_done:
                    return state
                if problem is not None:
                    raise problem
                problem = _try_to_reduce(state)

    def _work(self, executor: submitit.LocalExecutor, claim: claims.Claim) -> RunState:
        """Start shards until none is running and none can be started."""
        while True:
            if not claim.renew():
                raise driven_already(self.run)
            state = self._look()
            if self._stopping:
                _stop_workers(state)
            else:
                self._start_shards(executor, state)
            if not self._jobs and not state.running and not self._can_go_on(state):
                return state
            time.sleep(POLL_S)

    def _stop(self) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True

    def _look(self) -> RunState:
        # Jobs first: what a job wrote before it ended is then in what is read.
        ended = {name: job for name, job in self._jobs.items() if job.submitted.done()}
        state = read_states(self.run)
        for name, job in ended.items():
            del self._jobs[name]
            _require_attempt(state.shards[name], job)
        self.watch(state)
        return state

    def _start_shards(self, executor: submitit.LocalExecutor, state: RunState) -> None:
        busy = {shard.shard.name for shard in state.running} | self._jobs.keys()
        due = [shard for shard in self._startable(state) if shard.shard.name not in busy]
        for shard in due[: max(0, self.slots - len(busy))]:
            self._tried.add(shard.shard.name)
            submitted = _submit(executor, state, shard.shard)
            self._jobs[shard.shard.name] = _Job(submitted, attempts_before=len(shard.attempts))

    def _startable(self, state: RunState) -> list[ShardState]:
        found = [
            shard
            for shard in state.shards.values()
            if self._is_due(shard, state) and not _is_claimed(shard, state)
        ]
        return sorted(found, key=lambda shard: STAGE_ORDER.index(shard.shard.stage))

    def _is_due(self, shard: ShardState, state: RunState) -> bool:
        if shard.shard.name not in state.parents_done:
            return False
        if shard.is_failed:
            return self.retry_failed and shard.shard.name not in self._tried
        return shard.state in {"ready", "preempted", "waiting", "cancelled"}

    def _can_go_on(self, state: RunState) -> bool:
        """Whether another look may find something to start: now, or once a claim is released."""
        due = any(self._is_due(shard, state) for shard in state.shards.values())
        return due and not self._stopping


@dataclass(frozen=True)
class _Job:
    """A job that this driver started, and how many attempts its shard had before."""

    submitted: submitit.Job[str]
    attempts_before: int


def _is_claimed(shard: ShardState, state: RunState) -> bool:
    """Whether a live attempt, maybe of another run, works on the shard's network already."""
    folder = claim_folder(run_workspace(state.run), shard.shard.identity)
    return shard.shard.shared and claims.is_held(folder)


def _try_to_reduce(state: RunState) -> MtljobsError | None:
    """Reduce a run whose shards are done; the problem, where there is one."""
    try:
        worker.execute(state.plan_path, len(state.plan.shards) - 1)
    except MtljobsError as problem:
        return problem
    return None


@contextmanager
def sole_driver(run: RunFolder, *, patience_s: float = 0.0) -> Iterator[claims.Claim]:
    """While inside, nobody else drives or submits the run.

    Args:
        run: That shall have one driver.
        patience_s: How long to wait for another one to end.

    Raises:
        DrivenAlreadyError: Somebody else does.
    """
    deadline = time.monotonic() + patience_s
    while (claim := claims.acquire(run.driving)) is None:
        if time.monotonic() >= deadline:
            raise driven_already(run)
        time.sleep(POLL_S)
    try:
        yield claim
    finally:
        claim.release()


def driven_already(run: RunFolder) -> DrivenAlreadyError:
    """What to raise where another driver works on the run, or has taken it over."""
    return DrivenAlreadyError(
        f"the run {run.name!r} is being driven already, by another `mtljobs submit` or `resume`, "
        "which takes up what was added. `mtljobs wait` follows it, `mtljobs cancel` stops it."
    )


@contextmanager
def _interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, Ctrl-C, a closed terminal and SIGTERM ask to stop instead of killing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_executor(run: RunFolder) -> submitit.LocalExecutor:
    # A folder of its own: submitit names files by process id, and ids come again.
    folder = create_folder(run.submissions) / f"local-{time.time_ns()}"
    executor = submitit.LocalExecutor(folder=create_folder(folder))
    executor.update_parameters(timeout_min=60 * 24 * 365, stderr_to_stdout=True)
    return executor


def _submit(executor: submitit.LocalExecutor, state: RunState, shard: Shard) -> submitit.Job[str]:
    index = state.plan.shards.index(shard)
    os.environ.update(worker.thread_environment(shard))
    # Ctrl-C reaches every process of the terminal; workers hear of it from the driver alone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(worker.run_shard, str(state.plan_path), index)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _stop_workers(state: RunState) -> int:
    """Ask every worker of this machine to checkpoint and end; asking twice does no harm."""
    processes = [shard.last.process for shard in state.running if shard.last is not None]
    here = [process for process in processes if process is not None and process.is_here()]
    for process in here:
        os.kill(process.pid, signal.SIGTERM)
    return len(here)


def _require_attempt(shard: ShardState, job: _Job) -> None:
    if len(shard.attempts) <= job.attempts_before:
        raise UserError(
            f"the worker of {shard.shard.name} ended before it wrote its first record; its output "
            f"is in {job.submitted.paths.stdout}."
        )


def cancel_run(run: RunFolder) -> int:
    """Ask the driver and the workers of this machine to checkpoint and end.

    Returns:
        How many processes were asked; those that run elsewhere hear nothing.
    """
    asked = 0
    driver = claims.find_holder(run.driving) if is_driven(run) else None
    if driver is not None and driver.is_here():
        os.kill(driver.pid, signal.SIGTERM)
        asked += 1
    return asked + _stop_workers(read_states(run))


def start_detached(run: RunFolder, arguments: list[str]) -> Path:
    """Run a command of ours that drives the run, so that it outlives this terminal.

    Returns:
        The file that it writes to, once it drives.

    Raises:
        UserError: It ended before it drove anything.
    """
    log = create_folder(run.logs) / "driver.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments, no shell)
            [sys.executable, "-m", "mtljobs", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while not is_driven(run):
        if process.poll():
            raise UserError(f"the driver ended at once; {log} says why.")
        if process.returncode == 0:
            break
        time.sleep(POLL_S)
    return log
