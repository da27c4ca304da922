"""FAMO against its published formulas, written out here, and against torchjd's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchjd import scalarization

from mtljobs.errors import DivergedError
from mtljobs.settings import build
from mtljobs.settings import weighting as settings

TASKS = ("segmentation", "depth", "normals")


@pytest.fixture
def famo():
    return build(settings.FAMO(name="famo"), tasks=TASKS)


def logits(weighting):
    return weighting.state_dict()["values"]


class PublishedFAMO:
    """Algorithm 2 of arXiv:2306.03792 in float64, with Adam (arXiv:1412.6980) for the logits."""

    def __init__(self, tasks: int, *, rate=0.025, decay=1e-3, epsilon=1e-8):
        self.logits = np.zeros(tasks)
        self.rate, self.decay, self.epsilon = rate, decay, epsilon
        self.first, self.second, self.steps = np.zeros(tasks), np.zeros(tasks), 0

    @property
    def weights(self):
        powers = np.exp(self.logits)
        return powers / powers.sum()

    def coefficients(self, losses):
        """Of the losses' gradients in the step that the network takes."""
        c = 1 / (self.weights / (losses + self.epsilon)).sum()
        return c * self.weights / (losses + self.epsilon)

    def update(self, before, after):
        fall = np.log(before + self.epsilon) - np.log(after + self.epsilon)
        z = self.weights
        jacobian = np.diag(z) - np.outer(z, z)
        gradient = jacobian.T @ fall + self.decay * self.logits
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - 0.9**self.steps)
        second = self.second / (1 - 0.999**self.steps)
        self.logits = self.logits - self.rate * first / (np.sqrt(second) + 1e-8)


def test_50_random_steps_are_those_of_the_published_formulas(famo, run_steps, random_steps):
    published = PublishedFAMO(len(TASKS))
    for before, after in random_steps:
        [gradient] = run_steps(famo, [(before, after)])
        np.testing.assert_allclose(
            gradient, published.coefficients(before.double().numpy()), rtol=1e-4
        )
        published.update(before.double().numpy(), after.double().numpy())
        np.testing.assert_allclose(logits(famo), published.logits, atol=1e-5)
    assert np.abs(published.logits).max() > 0.1  # the weights did move


def test_50_random_steps_are_those_of_torchjd(famo, run_steps, random_steps):
    other = scalarization.FAMO(len(TASKS))
    for before, after in random_steps:
        [gradient] = run_steps(famo, [(before, after)])
        values = before.clone().requires_grad_()
        other(values).backward()
        other.update(after)
        torch.testing.assert_close(gradient, values.grad)
        torch.testing.assert_close(logits(famo), other.state_dict()["_w"])


def test_first_step_is_divided_among_the_tasks_by_their_losses(famo, run_steps):
    # z = 1/3 each; coefficients are proportional to 1/loss: 4, 2 and 1 sevenths.
    losses = torch.tensor([1.0, 2.0, 4.0])
    [gradient] = run_steps(famo, [(losses, losses)])
    np.testing.assert_allclose(gradient, np.array([4, 2, 1]) / 7, rtol=1e-6)


def test_task_that_fell_fastest_loses_weight(famo, run_steps):
    run_steps(famo, [(torch.ones(3), torch.tensor([0.5, 1.0, 1.0]))])
    # Adam's first step is as long as its learning rate, whatever the gradient.
    np.testing.assert_allclose(logits(famo), [-0.025, 0.025, 0.025], rtol=1e-4)


def test_logits_learn_from_the_mean_over_the_parts_of_a_batch(famo, make_step, named, run_steps):
    parts = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 1.0])]
    after = [torch.tensor([1.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 2.0])]
    step = make_step(losses=lambda: map(named, after))
    for part in parts:
        famo.combine(named(part), step)
    famo.after_step(torch.nn.Identity(), step)

    whole = build(settings.FAMO(name="famo"), tasks=TASKS)
    run_steps(whole, [(torch.full((3,), 2.0), torch.tensor([1.0, 2.0, 2.0]))])
    assert torch.equal(logits(famo), logits(whole))


def test_second_forward_pass_builds_no_graph(famo, make_step, named):
    seen = []

    def losses():
        values = torch.ones(3, requires_grad=True) * 2
        seen.append(values.requires_grad)
        yield named(values)

    step = make_step(losses=losses)
    famo.combine(named(torch.ones(3)), step)
    famo.after_step(torch.nn.Identity(), step)
    assert seen == [False]


@pytest.mark.parametrize("loss", [0.0, -0.5])
@pytest.mark.parametrize("when", ["before", "after"])
def test_loss_without_a_logarithm_is_refused_by_name(famo, run_steps, loss, when):
    losses = {"before": torch.ones(3), "after": torch.ones(3)}
    losses[when] = torch.tensor([1.0, loss, 1.0])
    with pytest.raises(DivergedError) as caught:
        run_steps(famo, [(losses["before"], losses["after"])])
    for part in (f"'depth': {loss}", "above 0", "training.batch", "another weighting"):
        assert part in str(caught.value)


def test_loss_that_is_not_finite_is_left_to_the_loop(famo, run_steps):
    losses = torch.tensor([1.0, math.nan, 1.0])
    [gradient] = run_steps(famo, [(losses, losses)])
    assert gradient.isnan().any()
