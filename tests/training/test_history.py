from __future__ import annotations

import pytest
import torch

from mtljobs.training.history import History


def test_entry_is_the_mean_over_its_window_and_the_last_window_may_be_short():
    history = History(tasks=("depth", "normals"), iterations=401)
    for iteration in range(1, 402):
        losses = torch.tensor([float(iteration), 0.5])
        history.note(losses, iteration=iteration, learning_rate=0.1)
    assert len(history.entries) == 201
    assert history.entries[0] == {
        "iteration": 2, "learning_rate": 0.1, "train/depth/loss": 1.5, "train/normals/loss": 0.5,
    }  # fmt: skip
    assert history.entries[-1]["iteration"] == 401
    assert history.entries[-1]["train/depth/loss"] == 401.0


@pytest.mark.parametrize("at", [1, 2, 3])
def test_history_goes_on_in_the_middle_of_a_window(at):
    straight, first, second = (History(tasks=("depth",), iterations=600) for _ in range(3))
    for iteration in range(1, 7):
        for history in (straight, first if iteration <= at else second):
            loss = torch.tensor([1 / iteration])
            history.note(loss, iteration=iteration, learning_rate=1.0)
        if iteration == at:
            second.load_state_dict(first.state_dict())
    assert second.entries == straight.entries
    assert [entry["iteration"] for entry in straight.entries] == [3, 6]
