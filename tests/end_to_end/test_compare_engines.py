"""`mtljobs compare-engines` on a run that exists: both engines, the same items."""

from __future__ import annotations

import json


def test_engines_agree_on_a_users_run_or_say_why_not(finished_desk, mtljobs, tree):
    before = tree(finished_desk.workspace.root)
    answer = mtljobs(
        "compare-engines", "grid", "--images", 1, "--json", "-w", finished_desk.workspace.root
    )
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["experiment"], found["sparsity"], found["seed"]) == ("desk", 0.0, 0)
    assert found["tasks"].keys() == {"segmentation", "depth"}
    for own in found["tasks"].values():
        assert own["same_status"] == own["items"] > 0
        assert own["curve"]["median"] < 1e-5
        assert own["pooling_differs"] + own["rounding"] == own["above_1e-5"]
        assert own["unexplained"] == 0
    assert tree(finished_desk.workspace.root) == before
