"""What plan says of a submission, against what a submission does."""

from __future__ import annotations

import re

import pytest

from mtljobs.cluster.outlay import proposed_state
from mtljobs.cluster.preview import preview
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.cluster.sweep import submit_run
from mtljobs.settings.profile import Profile


@pytest.fixture
def slurm(fake_slurm):
    return fake_slurm


@pytest.fixture
def proposal(grid_file, workspace):
    return propose(str(grid_file()), workspace=workspace)


def ids_of(text, jobs):
    """A script with the ids of jobs in the place of their names."""
    return re.sub(r"JOB(\d+)", lambda found: jobs[int(found[1]) - 1], text)


def test_scripts_are_those_that_sbatch_is_given(slurm, proposal):
    shown = preview(proposed_state(proposal), Profile())
    freeze(proposal)
    submission = submit_run(proposal.run, retry_failed=False)
    jobs = [*submission.jobs, submission.sweep]
    assert [ids_of(job.script, jobs) for job in shown.jobs] == [slurm.scripts[job] for job in jobs]


def test_what_waits_in_the_queue_is_waited_for_and_not_shown_again(slurm, proposal):
    freeze(proposal)
    first = submit_run(proposal.run, retry_failed=False)
    slurm.end(*first.jobs[1:])
    shown = preview(proposed_state(proposal), Profile())
    assert [job.stage for job in shown.jobs][:2] == ["train", "prune"]
    explanations = [job for job in shown.jobs if job.stage == "explain"]
    assert all(first.jobs[0] in job.after for job in explanations)


def test_shards_without_room_in_the_queue_come_later(slurm, proposal):
    shown = preview(proposed_state(proposal), Profile(queued_max=5))
    assert sum(job.shards for job in shown.jobs) == 4
    assert shown.later == 11 - 4


def test_run_whose_shards_are_done_is_reduced(slurm, proposal, finish_stages):
    freeze(proposal)
    finish_stages(proposal.run, "segment", "train", "prune", "evaluate", "explain")
    shown = preview(proposed_state(proposal), Profile())
    assert [job.stage for job in shown.jobs] == ["reduce", "sweep"]


def test_nothing_is_written(slurm, proposal, workspace):
    preview(proposed_state(proposal), Profile())
    assert not workspace.root.exists()


def test_start_times_are_asked_without_dependencies_and_submit_nothing(slurm, proposal):
    (slurm.folder / "sbatch").write_text(
        "#!/bin/sh\n"
        'echo "$@" >> "$0.asked"; cat "$2" >> "$0.asked"\n'
        "echo 'sbatch: Job 9 to start at 2026-11-27T10:00:00 using 1 processors' >&2\n"
    )
    job = preview(proposed_state(proposal), Profile()).jobs[-1]
    assert job.after
    assert job.ask_start() == "2026-11-27T10:00:00"
    asked = (slurm.folder / "sbatch.asked").read_text()
    assert asked.startswith("--test-only ")
    assert "--dependency" not in asked
