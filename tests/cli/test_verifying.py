from __future__ import annotations

import pytest

from mtljobs.contracts import Record
from mtljobs.ledger.paths import Workspace, result_folder
from mtljobs.ledger.records import RECORD, write_record
from mtljobs.plan.frozen import newest_plan, read_newest


@pytest.fixture
def broken_plan(submitted):
    """A run whose newest plan is cut off."""
    run = submitted()
    path = newest_plan(run)
    path.write_text(path.read_text()[:-100])
    return path


@pytest.mark.parametrize("options", ["", "--quick", "--decode", "--requeue"])
def test_a_plan_that_is_cut_off_is_one_finding_of_verify(mtljobs, broken_plan, options):
    answer = mtljobs(f"verify study --json {options}")
    assert answer.code == 1
    (finding,) = answer.json["findings"]
    assert (finding["kind"], finding["path"]) == ("wrong plan", str(broken_plan))
    assert "Move it away and submit again" in finding["detail"]
    assert "Nothing else was checked" in finding["detail"]
    assert answer.json["moved"] == {}


def test_a_broken_plan_is_said_not_to_be_mended_by_resume(mtljobs, broken_plan):
    answer = mtljobs("verify study")
    assert answer.code == 1
    assert answer.out.startswith(f"wrong plan: {broken_plan}")
    assert "resume" not in answer.out
    assert "1 finding;" in answer.out


def test_a_plan_that_is_moved_away_is_made_again_by_the_same_submission(
    mtljobs, broken_plan, submitted
):
    broken_plan.rename(broken_plan.with_suffix(".broken"))
    assert newest_plan(submitted()) == broken_plan
    assert "wrong plan" not in mtljobs("verify study").out


def test_missing_items_without_requeue_are_refused(mtljobs, submitted):
    submitted()
    answer = mtljobs("verify study --missing")
    assert answer.code == 2
    assert "--requeue" in answer.err


BREAKING = {
    "no JSON": lambda folder: (folder / RECORD).write_text("{"),
    "no record": lambda folder: (folder / RECORD).unlink(),
    "another identity": lambda folder: write_record(folder, Record("x", "f" * 64, {}, {})),
    "a path outside": lambda folder: write_record(folder, Record("x", "f" * 64, OUTSIDE, {})),
}
OUTSIDE = {"../weights.safetensors": ("0" * 64, 1)}


@pytest.mark.parametrize("stage", ["segment", "train", "prune", "evaluate", "explain"])
@pytest.mark.parametrize("damage", BREAKING)
def test_what_errors_about_records_advise_makes_room_for_the_shard(
    mtljobs, submitted, finish, stage, damage
):
    run = submitted()
    finish(run)
    shard = next(shard for shard in read_newest(run).shards if shard.stage == stage)
    folder = result_folder(Workspace(run.root.parent), run, shard)
    BREAKING[damage](folder)
    answer = mtljobs("verify study --requeue --json")
    assert answer.code == 1
    assert answer.json["moved"][shard.name].startswith(str(run.quarantine))
    assert not folder.exists()
