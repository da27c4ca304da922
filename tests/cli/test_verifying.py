from __future__ import annotations

import pytest

from mtljobs.plan.frozen import newest_plan


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
