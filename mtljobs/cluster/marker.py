"""The marker of a submission: which shard each index of an array is.

Each job or array has a folder of its own, `submissions/<n>/`. The marker in it is written before
the job exists, so that a submission may be killed at any line and the next one still finds every
job; once more, with the job's id, after. The supervisor of an element reads it too.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import RunFolder, create_folder

MARKER = "shards.json"
SWEEP = "sweep"


@dataclass(frozen=True)
class Marker:
    """What one folder of `submissions/` was submitted for.

    Attributes:
        stage: Of its shards, or `SWEEP`.
        shards: Names by array index; none for a sweep.
        plan: File of the plan that the shards are lines of.
        memory_gb: That each of them was given.
        round: How often a sweep had tried shards again before, since somebody submitted or resumed
            the run by hand.
        attempts: How many attempts there had been at each shard.
        job: Id of the job or array; None until Slurm has told it.
    """

    stage: str
    shards: tuple[str, ...]
    plan: str
    memory_gb: float
    round: int
    attempts: tuple[int, ...] = ()
    job: str | None = None

    def element(self, index: int) -> str:
        """What Slurm calls the job of a shard: "7_3", or "7" where it is not one of several."""
        return f"{self.job}_{index}" if len(self.shards) > 1 else str(self.job)

    def write(self, folder: Path) -> None:
        """Put the marker in place, whole."""
        replace_file(folder / MARKER, to_json(dataclasses.asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Marker:
        """The marker of a folder of `submissions/`.

        Raises:
            FileNotFoundError: The folder has none: it is another executor's, or was not finished.
            CorruptionError: It is not JSON.
        """
        values = read_json(folder / MARKER)
        lists = {key: tuple(values[key]) for key in ("shards", "attempts")}
        return cls(**{**values, **lists})


def new_submission(run: RunFolder) -> Path:
    """A new folder of `submissions/`, with a number that no other has."""
    create_folder(run.submissions)
    return create_folder(run.submissions / f"{next_number(run):04d}")


def next_number(run: RunFolder) -> int:
    """The first number above those of all submissions that there are."""
    taken = [int(path.name) for path in run.submissions.glob("*") if path.name.isdecimal()]
    return max(taken, default=0) + 1


def was_submitted(run: RunFolder) -> bool:
    """Whether anything of a run was ever submitted to Slurm."""
    return any(run.submissions.glob(f"*/{MARKER}"))


def find_submissions(run: RunFolder) -> dict[Path, Marker]:
    """The marker of every submission of a run to Slurm, oldest first, by resolved folder."""
    folders = sorted(path.parent for path in run.submissions.glob(f"*/{MARKER}"))
    return {folder.resolve(): Marker.read(folder) for folder in folders}
