"""One attempt at a shard, seen from the host: `python -m mtljobs.cluster.supervisor WORKER...`.

A batch script becomes this program, so that what Slurm signals and waits for is neither a shell nor
in the container. It starts the worker, tells it once when the job is about to end, says why the
attempt ended, and gives the job back to the queue where it shall go on. Results need none of it:
wherever it is killed, checkpoints and ledger stand.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtljobs.cluster import slurmctl
from mtljobs.cluster.causes import End
from mtljobs.cluster.container import shard_data, worker_container
from mtljobs.cluster.image import image_digest
from mtljobs.cluster.marker import Marker
from mtljobs.cluster.memory import count_oom_kills, memory_limit_gb, was_near
from mtljobs.cluster.output import JobOutput
from mtljobs.cluster.payload import Payload, block_signals, wait_for_stop
from mtljobs.cluster.profiles import run_profile
from mtljobs.cluster.requeue import give_back
from mtljobs.cluster.retry import NO_FURTHER, repeated_traceback
from mtljobs.cluster.scratch import near_copy
from mtljobs.cluster.witness import Witness
from mtljobs.errors import UserError
from mtljobs.ledger.attempts import COUNTS_ALWAYS, AttemptState, find_attempts, read_shard
from mtljobs.ledger.paths import RunFolder
from mtljobs.plan.frozen import read_plan
from mtljobs.settings.base import restore
from mtljobs.settings.profile import Profile
from mtljobs.settings.resources import Resources, Retry

FAREWELL_S = 60.0
"""How long a job that waits for its end waits beyond the notice."""

_NO_SIGNAL = {"SUBMITIT_PREEMPT_SIGNAL": "PWR"}
"""A signal that nobody sends, for submitit to listen to: SIGUSR2 is the worker's."""

_log = logging.getLogger("mtljobs.supervisor")


@dataclass(frozen=True)
class Supervisor:
    """Of this job's attempt at a shard.

    Attributes:
        folder: That the job was submitted from.
        marker: What it was submitted for.
        profile: The cluster's.
        job: This one.
        witness: Of the attempt.
    """

    folder: Path
    marker: Marker
    profile: Profile
    job: slurmctl.Job
    witness: Witness

    @classmethod
    def of_job(cls, folder: Path, environment: Mapping[str, str]) -> Supervisor:
        """The supervisor of a job that was submitted from a folder of `submissions/`.

        Raises:
            UserError: The environment is no job's.
        """
        job = slurmctl.Job.current(environment)
        run = RunFolder(folder.parent.parent)
        marker, profile = Marker.read(folder), run_profile(run)
        shard = marker.shards[int(environment.get("SLURM_ARRAY_TASK_ID", "0"))]
        return cls(folder, marker, profile, job, Witness(run, shard, job, profile.notice_s))

    def supervise(self, worker: Sequence[str]) -> int:
        """Run the worker to its end, and see to what follows from it.

        Args:
            worker: Arguments of a Python.

        Returns:
            Exit code of the job: 0 where all is well, or the shard goes on without anybody.
        """
        for leftover in self.folder.glob(f"{self.job.name}_*.save_tmp"):
            leftover.unlink(missing_ok=True)  # a killed submitit's, which its next one stumbles on
        end = self._work(worker)
        attempt = self.witness.find_attempt() or self.witness.make_attempt()
        attempt = self.witness.report(attempt, end)
        _log.info("%s: %s %s", attempt.shard, attempt.state, attempt.detail)
        if attempt.state in COUNTS_ALWAYS:
            return 0
        if attempt.state == "failed":
            self._stop_array()
        if attempt.state == "out of memory":
            return self._enlarge(attempt, end)
        if attempt.state in {"preempted", "timed out"}:
            return self._go_on(attempt, end)
        return 1

    def _work(self, worker: Sequence[str]) -> End:
        output, kills = JobOutput.now(), count_oom_kills()
        try:
            payload = Payload(*self._command(worker))
        except UserError as error:
            return End(exit_code=error.exit_code, words=str(error))
        except OSError as error:  # of this node, or of a file system: another time it may work
            return End(words=f"the worker cannot be started: {error}")
        except Exception:
            return End(exit_code=1, words=traceback.format_exc())
        exit_code, number = payload.wait(lambda number: self._hear(number, payload))
        how = f"exit code {exit_code}" if number is None else signal.Signals(number).name
        killed_large = number == signal.SIGKILL and was_near(self._memory_gb())
        return End(
            exit_code,
            number,
            out_of_memory=killed_large or count_oom_kills() > kills,
            words=f"the worker ended with {how} and without a word:\n{output.tail()}",
        )

    def _command(self, worker: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
        environment = {**os.environ, **_NO_SIGNAL}
        if self.profile.image is None:
            return [sys.executable, *worker], environment
        image = Path(self.profile.image)
        plan = read_plan(Path(self.marker.plan))
        shard = next(shard for shard in plan.shards if shard.name == self.witness.shard)
        data = shard_data(shard, self.witness.run, plan)
        container = worker_container(
            self._near(image),
            run=self.witness.run,
            plan=plan,
            shard=shard,
            profile=self.profile,
            gpu=bool(environment.get("SLURM_JOB_GPUS") or environment.get("SLURM_GPUS_ON_NODE")),
            digest=image_digest(image),
            copies={} if data is None else {data: self._near(data)},
        )
        return container.argv(*worker), container.environment(environment)

    def _near(self, original: Path) -> Path:
        scratch = self.profile.scratch
        return original if scratch is None else near_copy(original, scratch)

    def _hear(self, number: int, payload: Payload) -> None:
        if self.witness.notice is None:
            payload.tell()
            _log.info("%s: the worker was told to stop", signal.Signals(number).name)
        self.witness.hear(number)
        attempt = self.witness.find_attempt()
        if attempt is not None and number != signal.SIGUSR2:
            # Only seconds are left: if the worker needs more, the cause is on record.
            self.witness.report(attempt, End())

    # -- what follows

    def _go_on(self, attempt: AttemptState, end: End) -> int:
        """Let the shard go on in this job, once it is its turn again."""
        if attempt.state == "timed out" and self._stood_still(attempt):
            note = (
                f"{NO_FURTHER} ({attempt.detail}): one checkpoint interval, "
                "or one image, takes longer than the time limit allows. Raise walltime_min, or "
                "lower checkpoint_every_s, in [resources], and resume the run."
            )
            _log.warning(note)
            self.witness.report(attempt, end, note=note)
            return 1
        return self._leave(attempt, end, give_back(self.job))

    def _stood_still(self, attempt: AttemptState) -> bool:
        """Whether the attempt was stopped at the very place where the one before was."""
        made = read_shard(self.witness.run.attempts, attempt.shard)
        before = [other for other in made if other.number < attempt.number]
        last = before[-1] if before else None
        return last is not None and (last.state, last.detail) == ("timed out", attempt.detail)

    def _enlarge(self, attempt: AttemptState, end: End) -> int:
        """Let the shard go on with more memory, as far as the profile allows."""
        given = self._memory_gb()
        factor = self._retry().memory_factor
        more = min(given * factor, self.profile.memory_max_gb)
        if more <= given:
            note = f"{given:g} GB were too few, and memory_max_gb of the profile allows no more"
            self.witness.report(attempt, end, note=note)
            return 1
        note = f"{given:g} GB were too few; the next attempt gets {more:g} GB"
        attempt = self.witness.report(attempt, end, note=note)
        return self._leave(attempt, end, give_back(self.job, memory_gb=more))

    def _leave(self, attempt: AttemptState, end: End, problem: str | None) -> int:
        """Wait to be ended: a job that ends by itself before Slurm ends it is not requeued."""
        note = "" if problem is None else f"{attempt.detail} (not requeued: {problem})".strip()
        if note:
            _log.warning(note)
            self.witness.report(attempt, end, note=note)
        if self.witness.last_signal == signal.SIGTERM:
            return 0
        number = wait_for_stop(self.profile.notice_s + FAREWELL_S)
        if note and number is not None:
            self.witness.hear(number)
            self.witness.report(attempt, end, note=note)
        return 0

    def _stop_array(self) -> None:
        """Keep an error of the code from being met by every shard of the array."""
        stage = f"{self.marker.stage}-"
        made = find_attempts(self.witness.run.attempts)
        own = {shard: made[shard] for shard in made if shard.startswith(stage)}
        found = repeated_traceback(own, limit=self._retry().equal_tracebacks)
        if found is not None and self.job.array is not None:
            _log.warning(
                "%d shards failed alike: what waits of this array is taken from the queue",
                len(found[1]),
            )
            problem = slurmctl.cancel_waiting(self.job.array)
            if problem is not None:
                _log.warning(problem)

    def _memory_gb(self) -> float:
        return memory_limit_gb(os.environ) or self.marker.memory_gb

    def _retry(self) -> Retry:
        resources: Resources = restore(Resources, read_plan(Path(self.marker.plan)).resources)
        return resources.retry


def main(arguments: Sequence[str]) -> int:
    """Supervise the worker whose arguments are given; the last one is the submission's folder."""
    block_signals()
    logging.basicConfig(format="%(asctime)s supervisor: %(message)s", level=logging.INFO)
    supervisor = Supervisor.of_job(Path(arguments[-1]), os.environ)
    os.umask(int(supervisor.profile.umask, 8))
    return supervisor.supervise(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
