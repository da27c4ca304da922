"""What `compare-engines` asks the stage for, prints, and exits with; the stage is tested apart."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mtljobs.cluster import submission
from mtljobs.plan.frozen import read_newest

DEVIATIONS = {"median": 1e-7, "99%": 2e-5, "max": 0.03}
TASK = {
    "items": 26, "curves": 14, "same_status": 26, "curve": DEVIATIONS, "score": DEVIATIONS,
    "above_1e-5": 3, "above_1e-4": 1, "pooling_differs": 2, "positions": 5, "rounding": 1,
    "unexplained": 0, "seconds": {"irof": 7.25, "irof_quantus": 29.0},
}  # fmt: skip
NO_CURVES = TASK | {"curves": 0, "curve": None, "score": None}


@pytest.fixture
def compared(monkeypatch):
    """What the stage answers, by task; and what it was asked, once a command has run."""
    answer, asked = {"segmentation": dict(TASK), "depth": dict(NO_CURVES)}, []

    def compare(plan, shard, *, run, workspace, images, progress):
        asked.append((shard.place["experiment"], shard.place["sparsity"], images))
        return answer

    stage = SimpleNamespace(compare_engines=compare)
    monkeypatch.setitem(sys.modules, "mtljobs.stages.compare", stage)
    monkeypatch.setattr(submission, "require_compute", lambda: None)
    return answer, asked


@pytest.fixture
def run(submitted, finish):
    """A run whose dense network is finished, and the other one not."""
    run = submitted()
    dense, _ = read_newest(run).cells
    finish(run, next(name for name in dense.shards if name.startswith("train-")))
    return run


def test_table_has_a_column_per_task_and_fits_a_terminal(mtljobs, run, compared):
    answer = mtljobs("compare-engines study")
    assert answer.code == 0
    first, *lines = answer.out.splitlines()
    assert first == "study, sparsity 0, seed 0"
    assert max(map(len, lines)) < 80
    rows = {line[:24].strip(): line[24:].split() for line in lines}
    assert rows[""] == ["segmentation", "depth"]
    assert rows["items above 1e-5"] == ["3", "3"]
    assert rows["seconds: irof"] == ["7.2", "7.2"]
    assert rows["curves apart by: median"] == ["1.0e-07"]


def test_first_finished_network_and_two_images_are_the_default(mtljobs, run, compared):
    mtljobs("compare-engines")
    mtljobs("compare-engines study --experiment study --sparsity 0 --seed 0 --images 5")
    assert compared[1] == [("study", 0, 2), ("study", 0, 5)]


def test_unexplained_deviation_is_a_failure(mtljobs, run, compared):
    compared[0]["depth"]["unexplained"] = 1
    assert mtljobs("compare-engines").code == 1


def test_json_says_which_cell_and_all_of_the_stages_numbers(mtljobs, run, compared):
    answer = mtljobs("compare-engines --json")
    cell = {"run": "study", "experiment": "study", "sparsity": 0.0, "seed": 0}
    assert answer.json == cell | {"tasks": compared[0]}


def test_network_that_is_not_finished_is_refused(mtljobs, run, compared):
    answer = mtljobs("compare-engines --sparsity 0.5")
    assert answer.code == 2
    assert "is not trained yet" in answer.err
    assert compared[1] == []


def test_cell_that_nobody_planned_is_answered_with_those_that_are(mtljobs, run, compared):
    answer = mtljobs("compare-engines --seed 7")
    assert answer.code == 2
    assert "no such cell; planned, as experiment, sparsity, seed: study 0 0, study 0.5 0." in (
        " ".join(answer.err.split())
    )
