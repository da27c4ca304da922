"""Where everything of a workspace lies; the map in `docs/` and design § 3, as properties."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mtljobs.contracts import Shard
from mtljobs.errors import UserError
from mtljobs.ledger.files import is_folder

SHARED = "shared"
WORKSPACE_VARIABLE = "MTLJOBS_WORKSPACE"
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def create_folder(folder: Path) -> Path:
    """Make a folder and its missing parents, closed to all others; return it.

    The user's group is let in where the umask says so and keeps everybody else out, as 007 does:
    that is a choice, and 022 is what a system gives.
    """
    for missing in [*reversed(folder.parents), folder]:
        if not missing.is_dir():
            try:
                make_folder(missing)
            except FileExistsError:  # made by somebody else just now, or no folder
                if not missing.is_dir():
                    raise
    return folder


def make_folder(folder: Path) -> None:
    """Make one folder, with the rights of `create_folder`.

    Raises:
        FileExistsError: It is there.
    """
    folder.mkdir(mode=0o775)
    if folder.stat().st_mode & 0o007:
        folder.chmod(0o700)


@dataclass(frozen=True)
class RunFolder:
    """One run: a named, growing set of cells with its plans, ledger and store."""

    root: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.root.name

    @property
    def plans(self) -> Path:
        """Immutable plans, `0001.jsonl` and on."""
        return self.root / "plans"

    @property
    def attempts(self) -> Path:
        """What the executions of shards say of themselves, and their hosts of them."""
        return self.root / "attempts"

    @property
    def work(self) -> Path:
        """Scratch of unfinished shards."""
        return self.root / "work"

    @property
    def staging(self) -> Path:
        """Results that are still being written."""
        return self.root / "staging"

    @property
    def committed(self) -> Path:
        """Finished shards that the merge has not moved into the store yet."""
        return self.root / "committed"

    @property
    def ledger(self) -> Path:
        """Records of the shards that are in the store."""
        return self.root / "ledger"

    @property
    def merging(self) -> Path:
        """Claims of the merge: the store has one writer."""
        return self.root / "merging"

    @property
    def driving(self) -> Path:
        """Claims of the local driver: a run is driven by one at a time."""
        return self.root / "driving"

    @property
    def quarantine(self) -> Path:
        """Commits whose bytes were not those of their record."""
        return self.root / "quarantine"

    @property
    def submissions(self) -> Path:
        """What was handed to an executor."""
        return self.root / "submissions"

    @property
    def profile(self) -> Path:
        """The cluster that the run was last submitted to, as its profile said."""
        return self.root / "profile.json"

    @property
    def resumed(self) -> Path:
        """What was forgiven when somebody last resumed the run on Slurm."""
        return self.root / "resumed.json"

    @property
    def sweeps(self) -> Path:
        """What sweeps decided, a line each."""
        return self.logs / "sweeps.log"

    @property
    def logs(self) -> Path:
        """Output of the workers."""
        return self.root / "logs"

    @property
    def tensorboard(self) -> Path:
        """Event files of trainings, a folder per shard; they hold times, and no result."""
        return self.root / "tensorboard"

    @property
    def tables(self) -> Path:
        """What the reduction computes."""
        return self.root / "tables"

    @property
    def report(self) -> Path:
        """Pages and figures."""
        return self.root / "report"

    @property
    def store(self) -> Path:
        """The arrays, in a run that keeps them in Zarr."""
        return self.root / "store.zarr"

    @property
    def store_file(self) -> Path:
        """The arrays, in a run that keeps them in HDF5."""
        return self.root / "store.h5"


@dataclass(frozen=True)
class Workspace:
    """The folder that holds every run, and what runs share. One file system, one quota."""

    root: Path

    @property
    def shared(self) -> Path:
        """What belongs to no run."""
        return self.root / SHARED

    @property
    def networks(self) -> Path:
        """Finished networks, a folder per identity."""
        return self.shared / "networks"

    @property
    def inputs(self) -> Path:
        """Finished superpixels, a folder per identity."""
        return self.shared / "inputs"

    @property
    def staging(self) -> Path:
        """Shared results that are still being written."""
        return self.shared / "staging"

    @property
    def work(self) -> Path:
        """Scratch and claims of unfinished shared shards, a folder per identity."""
        return self.shared / "work"

    @property
    def data(self) -> Path:
        """Prepared data sets, a folder per id."""
        return self.shared / "data"

    def run(self, name: str) -> RunFolder:
        """The folder of a run, which need not exist yet.

        Raises:
            UserError: The name cannot be a run's.
        """
        if name == SHARED or not RUN_NAME.fullmatch(name):
            raise UserError(
                f"{name!r} cannot name a run: a name begins with a letter or digit, goes on with "
                f"letters, digits, '.', '_' and '-', and is not {SHARED!r}. "
                "Choose another with --run NAME."
            )
        return RunFolder(self.root / name)

    def run_names(self) -> list[str]:
        """Names of the runs that have a plan, sorted."""
        return sorted(plans.parent.name for plans in self.root.glob("*/plans") if is_folder(plans))


def open_workspace(folder: Path | None = None) -> Workspace:
    """The workspace that a user means: an explicit folder, `$MTLJOBS_WORKSPACE`, or `./runs`."""
    return Workspace((folder or Path(os.environ.get(WORKSPACE_VARIABLE) or "runs")).absolute())


def result_folder(workspace: Workspace, run: RunFolder, shard: Shard) -> Path:
    """Where the shard's commit puts its results.

    A run's shard stays there only until it is merged; `find_record` knows both places.
    """
    if not shard.shared:
        return run.committed / shard.name
    finished = workspace.inputs if shard.stage == "segment" else workspace.networks
    return finished / shard.identity


def scratch_folder(workspace: Workspace, run: RunFolder, shard: Shard) -> Path:
    """Where the shard's checkpoints survive from attempt to attempt until it is done."""
    return workspace.work / shard.identity if shard.shared else run.work / shard.name


def claim_folder(workspace: Workspace, identity: str) -> Path:
    """Where the claims of a shared shard lie: beside its checkpoints, gone with them."""
    return workspace.work / identity / "claims"


def log_file(run: RunFolder, shard: str, attempt: int) -> Path:
    """Where an attempt logs."""
    return run.logs / f"{shard}.{attempt}.log"
