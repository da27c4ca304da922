from __future__ import annotations

import numpy as np
import pytest
import torch
from torchjd import scalarization

from mtljobs.errors import DivergedError
from mtljobs.settings import build
from mtljobs.settings import weighting as settings

TASKS = ("segmentation", "depth", "normals")


def dwa(**fields):
    return build(settings.DWA(name="dwa", **fields), tasks=TASKS)


def test_third_epoch_weighs_by_the_ratio_of_the_first_twos_means(run_steps):
    # Means of epoch 0: 2, 4, 8 (from two steps); of epoch 1: 1, 4, 12. Ratios 1/2, 1, 3/2.
    losses = torch.tensor([[1.0, 2.0, 8.0], [3.0, 6.0, 8.0], [1.0, 4.0, 12.0], [5.0, 5.0, 5.0]])
    gradients = run_steps(dwa(), zip(losses, losses, strict=True), epochs=(0, 0, 1, 2))
    powers = np.exp(np.array([0.5, 1.0, 1.5]) / 2)
    np.testing.assert_array_equal(gradients[:3], np.ones((3, 3)))
    np.testing.assert_allclose(gradients[3], 3 * powers / powers.sum(), rtol=1e-6)


def test_high_temperature_weighs_all_the_same(run_steps):
    losses = torch.tensor([[1.0, 1.0, 1.0], [9.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    gradients = run_steps(dwa(temperature=1e6), zip(losses, losses, strict=True), epochs=(0, 1, 2))
    np.testing.assert_allclose(gradients[2], np.ones(3), atol=1e-4)


def test_seven_epochs_are_those_of_torchjd(run_steps, random_steps):
    ours, theirs = dwa(), scalarization.DWA()
    epochs = [number // 8 for number in range(50)]
    for number, (epoch, (before, after)) in enumerate(zip(epochs, random_steps, strict=True)):
        if number and epoch != epochs[number - 1]:
            theirs.step()
        [gradient] = run_steps(ours, [(before, after)], epochs=(epoch,))
        values = before.clone().requires_grad_()
        theirs(values).backward()
        torch.testing.assert_close(gradient, values.grad)


def test_mean_of_an_epoch_is_over_the_parts_of_its_batches(make_step, named, run_steps):
    weighting = dwa()
    for epoch, scale in ((0, 1.0), (1, 2.0)):
        for part in (torch.tensor([1.0, 1.0, 2.0]), torch.tensor([3.0, scale, 4.0])):
            weighting.combine(named(part), make_step(epoch=epoch))
    [gradient] = run_steps(weighting, [(torch.ones(3), torch.ones(3))], epochs=(2,))
    # Means 2, 1, 3 and 2, 1.5, 3: the second task alone rose.
    powers = np.exp(np.array([1.0, 1.5, 1.0]) / 2)
    np.testing.assert_allclose(gradient, 3 * powers / powers.sum(), rtol=1e-6)


def test_epoch_without_a_loss_of_one_task_says_which_and_what_to_do(run_steps):
    losses = torch.tensor([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    with pytest.raises(DivergedError, match=r"'depth': 0\.0.*leave the task out"):
        run_steps(dwa(), zip(losses, losses, strict=True), epochs=(0, 1))
