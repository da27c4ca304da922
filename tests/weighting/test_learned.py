from __future__ import annotations

import torch

from mtljobs.weighting.learned import LearnedVector


def learned():
    return LearnedVector(2, start=0.5, learning_rate=0.1, weight_decay=0.0)


def test_first_step_is_as_long_as_the_learning_rate_and_goes_downhill():
    vector = learned()
    vector.step(torch.tensor([4.0, -0.01]))
    torch.testing.assert_close(vector.values(like=torch.zeros(2)), torch.tensor([0.4, 0.6]))


def test_numbers_and_moments_follow_the_losses_to_their_device():
    # "meta" stands for a GPU: it is another device, and every machine has it.
    vector = learned()
    vector.step(torch.ones(2))
    assert vector.values(like=torch.empty(2, device="meta")).device.type == "meta"
    moments = vector.state_dict()["adam"]["state"][0]
    assert {moments[name].device.type for name in ("exp_avg", "exp_avg_sq")} == {"meta"}
    assert moments["step"] == 1
