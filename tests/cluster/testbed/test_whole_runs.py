"""Runs as a cluster's users have them: in a container, without privileges, side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mtljobs.cluster.image import image_digest
from mtljobs.cluster.marker import find_submissions
from testbed.user import make_python

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.testbed(grace_s=0)
def test_user_without_privileges_is_preempted_in_an_image_mounted_by_fuse(
    study, slurm, image, undisturbed
):
    python = make_python(slurm, CHECKOUT)
    mine = dataclasses.replace(study, folder=slurm.home / "it's mine", python=python)
    slurm.run("mkdir", mine.folder, as_user=True)
    mine.write()
    profile = mine.write_profile(
        image=str(image),
        environment=str(python.parent.parent),
        container_options=["--cleanenv"],
        notice_s=10,
    )
    mine.submit("--profile", profile)
    mine.wait_for_checkpoint()
    mine.preempt()
    mine.finish()
    assert mine.ends()[-2:] == ["preempted", "done"]
    attempts = [one for shard in mine.state.shards.values() for one in shard.attempts]
    assert {attempt.image for attempt in attempts} == {image_digest(image)}
    assert {path.owner() for path in mine.run.root.rglob("*")} == {slurm.user}
    assert mine.store() == undisturbed()


@pytest.mark.testbed(grace_s=0)
def test_two_runs_that_need_one_network_train_it_once(study, undisturbed):
    other = dataclasses.replace(study, name="other")
    other.write()
    study.submit()
    other.submit()
    study.finish()
    other.finish()
    trainings = [*study.ends(), *other.ends()]
    assert trainings.count("done") == 1
    assert {*trainings} <= {"done", "waiting", "duplicate"}
    assert study.store() == other.store() == undisturbed()


@pytest.mark.testbed(max_array_size=11)
def test_more_shards_than_an_array_may_have_are_split(study, undisturbed):
    changes = (
        ("iterations = 240", "iterations = 4"),
        ("train = 16, test = 8", "train = 16, test = 12"),
        ("images = 2, block = 2", "images = 12, block = 1"),
    )
    study.write(*changes)
    study.submit()
    markers = find_submissions(study.run).values()
    sizes = [len(marker.shards) for marker in markers if marker.stage == "explain"]
    assert sorted(sizes) == [1, 11]
    study.finish()
    assert study.store() == undisturbed(*changes)
