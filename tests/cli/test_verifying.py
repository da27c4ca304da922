from __future__ import annotations

import shutil

import pytest

from mtljobs.cluster.marker import Marker, new_submission
from mtljobs.cluster.proposal import propose
from mtljobs.cluster.submission import freeze
from mtljobs.contracts import Record
from mtljobs.errors import CorruptionError
from mtljobs.ledger.paths import Workspace, result_folder
from mtljobs.ledger.records import RECORD, write_record
from mtljobs.plan.frozen import newest_plan, read_newest
from mtljobs.store.damage import refuse_damage


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
    assert "move it away, and submit its grid again before anything else" in finding["detail"]
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


@pytest.mark.parametrize("options", ["", "--quick"])
def test_a_plan_of_another_run_moves_nothing_away(
    *, mtljobs, submitted, finish, workspace, grid_file, options
):
    run = submitted()
    finish(run)
    other = propose(str(grid_file(("seeds = [0]", "seeds = [1]"))), workspace=workspace,
                    run_name="other")  # fmt: skip
    freeze(other)
    shutil.copy(newest_plan(other.run), run.plans / "0002.jsonl")
    answer = mtljobs(f"verify study --requeue --json {options}")
    assert (answer.code, answer.json["moved"]) == (1, {})
    first = answer.json["findings"][0]
    assert (first["kind"], first["path"]) == ("wrong plan", str(run.plans / "0002.jsonl"))
    assert "expected all that 0001.jsonl has" in first["detail"]
    with pytest.raises(CorruptionError, match=r"wrong plan.*move the file away that is another"):
        refuse_damage(run)


def test_results_of_a_plan_that_is_lost_are_not_moved_away(
    mtljobs, submitted, finish, workspace, grid_file
):
    run = submitted()
    finish(run)
    grown = grid_file(("seeds = [0]", "seeds = [0, 1]"))
    proposal = propose(str(grown), workspace=workspace, run_name="study")
    lost = freeze(proposal)
    finish(run)
    Marker("explain", (), str(lost), memory_gb=1, round=0).write(new_submission(run))
    lost.unlink()
    answer = mtljobs("verify study --requeue --json")
    assert (answer.code, answer.json["moved"]) == (1, {})
    said = {finding["kind"]: finding["detail"] for finding in answer.json["findings"]}
    assert "submit its grid again before anything else" in said["wrong plan"]
    assert "where a plan was lost, submit its grid again" in said["unknown record"]
    freeze(proposal)
    assert mtljobs("verify study --requeue --json").json["findings"] == []


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
