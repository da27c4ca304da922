"""Which network a user means, and what is said where there is none."""

from __future__ import annotations

import pytest

import mtljobs
from mtljobs.errors import UserError


@pytest.fixture
def refusal(run):
    """What `load_network` says of a cell; a word replaces one of those of the first cell."""

    def read(path=run.root, **words):
        cell = {"experiment": "study", "sparsity": 0.5, "seed": 0} | words
        with pytest.raises(UserError) as caught:
            mtljobs.load_network(path, **cell)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return read


def test_misspelt_experiment_is_answered_with_the_nearest(refusal):
    assert "no experiment 'stduy' (did you mean 'study'?)" in refusal(experiment="stduy")


def test_sparsity_that_nobody_planned_is_answered_with_those_that_are(refusal):
    assert refusal(sparsity=50) == (
        "study of the run 'study' has no sparsity 50; planned, as fractions: 0, 0.5."
    )


def test_seed_that_nobody_planned_is_answered_with_those_that_are(refusal):
    assert "no seed 3 at sparsity 0.5; planned: 0." in refusal(seed=3)


def test_run_that_does_not_exist_is_answered_with_the_nearest(refusal, run, workspace, monkeypatch):
    monkeypatch.setenv("MTLJOBS_WORKSPACE", str(workspace.root))
    assert "no run 'studi'" in refusal("studi")
    assert "did you mean 'study'" in refusal("studi")


def test_network_of_a_new_run_waits_for_its_first_phase(refusal, shards):
    text = refusal()
    assert "is not trained yet: 0 of 3 phases done" in text
    assert f"{shards['train'].name} is ready. `mtljobs resume study`" in text


def test_network_that_is_being_made_is_to_be_waited_for(refusal, shards, finish, attempt):
    finish("train")
    attempt("cut")
    text = refusal()
    assert "1 of 3 phases done" in text
    assert f"{shards['cut'].name} is running. `mtljobs wait study`" in text


def test_failed_phase_is_named_with_its_state(refusal, shards, finish, attempt):
    finish("train", "cut")
    attempt("tune", "failed", "no luck")
    assert f"{shards['tune'].name} is failed" in refusal()
