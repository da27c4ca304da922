"""What submitting a proposal would take: time, disk, and on Slurm which jobs."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass

from mtljobs.cluster.expected_time import Expected, expect
from mtljobs.cluster.footprint import Footprint, predict_footprint
from mtljobs.cluster.preview import Preview, preview
from mtljobs.cluster.profiles import choose_profile
from mtljobs.cluster.proposal import Proposal
from mtljobs.cluster.runs import run_workspace
from mtljobs.cluster.states import RunState, states_under
from mtljobs.errors import UserError
from mtljobs.plan.frozen import newest_plan
from mtljobs.plan.planning import grow_plan
from mtljobs.settings.base import restore
from mtljobs.settings.resources import Resources


@dataclass(frozen=True)
class Outlay:
    """What it takes until a run is complete.

    Attributes:
        time: How long shards may take.
        disk: What they write.
        slurm: The next submission; None without a Slurm and a profile, or where it does not answer.
        problem: Why Slurm did not answer; empty where it did or was not asked.
    """

    time: Expected
    disk: Footprint
    slurm: Preview | None
    problem: str = ""


def read_outlay(proposal: Proposal, profile: str | None) -> Outlay | None:
    """What submitting a proposal would take; None where it would be refused.

    Args:
        profile: Name or path of a cluster's profile; None: as the run says.

    Raises:
        ProfileError: There is no such profile.
    """
    cluster = choose_profile(proposal.run, profile)
    if proposal.changes.stale:
        return None
    state = proposed_state(proposal)
    due = [known.shard for known in state.shards.values() if known.state != "done"]
    resources: Resources = restore(Resources, state.plan.resources)
    time = expect(due, proposal.run, resources)
    disk = predict_footprint(state.plan, due, run_workspace(proposal.run))
    if profile is None and shutil.which("sbatch") is None:
        return Outlay(time, disk, None)
    try:
        return Outlay(time, disk, preview(state, cluster))
    except UserError as error:
        return Outlay(time, disk, None, str(error))


def proposed_state(proposal: Proposal) -> RunState:
    """How the run would stand as soon as a proposal is its plan.

    Raises:
        StaleSlotError: It cannot be.
    """
    plan = grow_plan(proposal.previous, proposal.plan)
    path = newest_plan(proposal.run) or proposal.run.plans / "0001.jsonl"
    # What is planned later than anything that happened is not reduced yet.
    planned = path.stat().st_mtime if plan == proposal.previous else math.inf
    return states_under(proposal.run, plan, path, planned=planned)
