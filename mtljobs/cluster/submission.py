"""From a proposal to a run that somebody works on."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Literal

from mtljobs.cluster.proposal import Proposal
from mtljobs.errors import GridError, MissingExtraError, UserError
from mtljobs.plan.frozen import freeze_plan
from mtljobs.plan.planning import grow_plan
from mtljobs.plan.weights import check_weights


def freeze(proposal: Proposal) -> Path:
    """Make a proposal the run's newest plan.

    Raises:
        GridError: A data set is known by its published counts alone.
        WeightsError: A weights file is another than the grid says.
        StaleSlotError: The run holds results of other settings.
        UserError: The run has grown since the proposal was made, or its folder cannot be written.
    """
    if proposal.plan.provisional:
        raise GridError(
            "a data set of this grid is not prepared, so identities are provisional: run "
            "`mtljobs data prepare` for it, then submit again."
        )
    check_weights(proposal.plan.resources["weights"])
    plan = grow_plan(proposal.previous, proposal.plan)
    try:
        return freeze_plan(proposal.run, plan, previous=proposal.previous)
    except OSError as error:
        raise UserError(
            f"the plan cannot be written to {proposal.run.plans}: {error.strerror}. Choose another "
            "folder with --workspace, or mend this one."
        ) from error


def choose_executor(name: str) -> Literal["local", "slurm"]:
    """The executor that a user means.

    Args:
        name: "local", "slurm", or "auto": Slurm where `sbatch` exists, this machine elsewhere.

    Raises:
        UserError: Slurm was chosen where there is none.
        MissingExtraError: This machine was chosen and cannot compute.
    """
    has_slurm = shutil.which("sbatch") is not None
    if name == "slurm" and not has_slurm:
        raise UserError(
            "there is no `sbatch` on the PATH: run on a login node of the cluster, or here with "
            "--executor local."
        )
    if name == "slurm" or (name == "auto" and has_slurm):
        return "slurm"
    require_compute()
    return "local"


def require_compute() -> None:
    """Refuse to compute here where the packages for it are missing.

    Raises:
        MissingExtraError: Says what to install.
    """
    missing = [name for name in ("torch", "torchvision", "skimage") if not _is_installed(name)]
    if missing:
        raise MissingExtraError(
            f"this installation plans, submits and reads results, but does not compute: "
            f"{', '.join(missing)} is missing. Install `pip install 'mtljobs[compute]'` (about "
            "6 GB) to run shards on this machine, or submit where `sbatch` exists."
        )


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
