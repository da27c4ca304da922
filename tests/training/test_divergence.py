"""A training that leads nowhere stops at once, and leaves its last good checkpoint."""

from __future__ import annotations

import pytest
import torch

from mtljobs.errors import DivergedError, StopRequested
from mtljobs.training.checkpoint import load_checkpoint


class Poison:
    """Makes a weight of one head NaN after a number of steps, as a hook that nobody sees."""

    def __init__(self, after):
        self.after = after

    def after_backward(self, model, step):
        pass

    def after_step(self, model, step):
        if step.iteration + 1 == self.after:
            with torch.no_grad():
                model.heads["normals"].weight.fill_(float("nan"))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_loss_that_is_not_finite_stops_the_training_at_that_step_and_names_the_task(
    make_trainer, run
):
    seen = []
    with pytest.raises(DivergedError) as caught:
        run(make_trainer(hooks=(Poison(after=5),)), progress=lambda done, *_: seen.append(done))
    assert "the loss of normals is nan at iteration 6" in str(caught.value)
    assert "depth" not in str(caught.value)
    assert "Lower training.learning_rate" in str(caught.value)
    assert seen == [1, 2, 3, 4, 5]


def test_checkpoint_from_before_a_divergence_stays(make_trainer, run, tmp_path):
    trainer = make_trainer(hooks=(Poison(after=5),))
    # A checkpoint is due before every step: before the sixth it would hold what was poisoned.
    with pytest.raises(DivergedError, match=r"heads\.normals\.weight is not finite after .* 5"):
        run(trainer, checkpoint_every_s=0.0)
    state = load_checkpoint(tmp_path / "checkpoint")
    assert state["iteration"] == 4
    assert all(value.isfinite().all() for value in state["model"].values())


def test_stop_does_not_save_weights_that_are_not_finite(make_trainer, run, stop_after, tmp_path):
    with pytest.raises(StopRequested):
        run(make_trainer(hooks=(Poison(after=5),)), stop=stop_after(3))
    with pytest.raises(DivergedError, match="iteration 5"):
        run(make_trainer(hooks=(Poison(after=5),)), stop=stop_after(2))
    assert load_checkpoint(tmp_path / "checkpoint")["iteration"] == 3


def test_statistics_that_are_not_finite_end_no_training(make_trainer, run, tmp_path):
    # As from FAMO's second pass over the last batch, which no loss of the history tells of.
    class SecondPass(Poison):
        def after_step(self, model, step):
            if step.iteration + 1 == self.after:
                model.shared[1].running_var.fill_(float("inf"))

    with pytest.raises(DivergedError, match=r"shared\.1\.running_var is not finite after .* 9"):
        run(make_trainer(hooks=(SecondPass(after=9),)))
    assert load_checkpoint(tmp_path / "checkpoint") is None


def test_checkpoint_holds_no_hook_that_is_not_finite(make_trainer, run, stop_after, tmp_path):
    class Learned(Poison):
        def after_step(self, model, step):
            pass

        def state_dict(self):
            return {"adam": {"state": [{"logits": torch.tensor([0.0, float("nan")])}]}}

    with pytest.raises(DivergedError, match=r"Learned\.adam\.state\.0\.logits is not finite"):
        run(make_trainer(hooks=(Learned(after=0),)), stop=stop_after(2))
    assert load_checkpoint(tmp_path / "checkpoint") is None


def test_network_that_only_fails_in_evaluation_is_found_by_its_validation(make_trainer, run):
    trainer = make_trainer(validate_every=2)
    trainer.model.shared[1].running_var.fill_(-100.0)  # used by no training step
    with pytest.raises(DivergedError, match="the validation loss of depth is nan, of normals is"):
        run(trainer)


def test_float16_that_takes_no_step_any_more_ends_no_training(make_trainer, run, tmp_path):
    trainer = make_trainer(autocast="float16", iterations=45)
    # The loss is finite, and its gradient never is.
    trainer.model.heads["depth"].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match="overflow float16 even at a loss scale of"):
        run(trainer)
    assert load_checkpoint(tmp_path / "checkpoint") is None
