"""The validation split is measured and nothing else; the best weights are kept where asked for."""

from __future__ import annotations

import pytest
import torch

from mtljobs.errors import DataError, StopRequested

LOSSES = ("validation/depth/loss", "validation/normals/loss")


def measured(history):
    return [entry for entry in history if LOSSES[0] in entry]


def test_validation_is_measured_on_schedule_and_at_the_end_with_every_metric(make_trainer, run):
    entries = measured(run(make_trainer(validate_every=4)))
    assert [entry["iteration"] for entry in entries] == [4, 8, 9]
    assert set(entries[0]) == {
        "iteration", *LOSSES, "validation/depth/abs_error", "validation/depth/rel_error",
        *(f"validation/normals/{metric}" for metric in
          ("angle_mean", "angle_median", "within_11", "within_22", "within_30")),
    }  # fmt: skip


def test_measuring_changes_nothing_that_training_depends_on(make_trainer, run):
    plain = make_trainer()
    history = run(plain, "plain")
    watched = make_trainer(validate_every=1)
    watched_history = run(watched, "watched")
    weights, watched_weights = plain.model.state_dict(), watched.model.state_dict()
    assert all(torch.equal(weights[name], watched_weights[name]) for name in weights)
    assert [entry for entry in watched_history if LOSSES[0] not in entry] == history


def test_losses_are_means_over_images_and_need_no_full_batch(make_trainer, run):
    # Three images: batches of 4, and of 2 and 1.
    whole, parts = (
        measured(run(make_trainer(validate_every=9, accumulate=parts, learning_rate=1e-12), name))
        for parts, name in ((1, "whole"), (2, "parts"))
    )
    assert whole[0]["validation/depth/loss"] == pytest.approx(
        parts[0]["validation/depth/loss"], rel=0.05
    )
    assert whole[0]["validation/depth/abs_error"] == pytest.approx(
        parts[0]["validation/depth/abs_error"], rel=1e-3
    )


def test_best_weights_are_those_of_the_lowest_validation_loss(make_trainer, run):
    # A rate this high overshoots: the lowest loss is not the last.
    settings = {"validate_every": 1, "learning_rate": 0.5, "iterations": 12}
    best = make_trainer(keep="best", **settings)
    totals = [sum(entry[name] for name in LOSSES) for entry in measured(run(best, "best"))]
    at = totals.index(min(totals)) + 1
    assert at < 12
    stopped = make_trainer(**settings)
    stopped.iterations = at
    run(stopped, "stopped")
    kept, expected = best.model.state_dict(), stopped.model.state_dict()
    assert all(torch.equal(kept[name], expected[name]) for name in expected)


def test_stop_during_a_validation_measures_it_again(make_trainer, run, stop_after):
    straight = run(make_trainer(validate_every=2, accumulate=4), "straight")
    # Questions: steps 1 and 2, then one before each image of the validation.
    with pytest.raises(StopRequested, match="validation"):
        run(make_trainer(validate_every=2, accumulate=4), stop=stop_after(4))
    told = []
    assert run(make_trainer(validate_every=2, accumulate=4), told=told.append) == straight
    assert told[0] == measured(straight)[0]


def test_unreadable_validation_image_ends_the_attempt_and_is_due_again(make_trainer, run):
    class Broken:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise DataError("no such image")

    straight = run(make_trainer(validate_every=2), "straight")
    trainer = make_trainer(validate_every=2)
    trainer.validation._dataset = Broken()
    with pytest.raises(DataError):
        run(trainer)
    assert run(make_trainer(validate_every=2)) == straight
