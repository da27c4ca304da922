"""A study that begins with the user's own dense weights."""

from __future__ import annotations

import hashlib

import pytest
import torch

import mtljobs
from mtljobs.errors import WeightsError
from mtljobs.settings import build
from mtljobs.settings.models import SegNetMTAN

CHANNELS = {"segmentation": 3, "depth": 1}


@pytest.fixture
def bring(blank_desk):
    """Writes a network's weights beside the desk's grid, and names them in it."""

    def add(channels, *, sha256=None):
        torch.manual_seed(3)
        network = build(
            SegNetMTAN(name="segnet_mtan", width=0.0625), channels=channels, widths=None
        )
        path = blank_desk.folder / "mine.pth"
        torch.save(network.state_dict(), path)
        sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
        text = blank_desk.grid.read_text("utf-8")
        changed = text.replace(
            "training = { ",
            f'init = {{ file = "mine.pth", sha256 = "{sha256}" }}\n'
            "training = { learning_rate = 1e-9, ",
        )
        blank_desk.grid.write_text(changed, "utf-8")
        return network.state_dict()

    return add


def test_training_begins_with_the_weights_that_the_user_brings(blank_desk, bring):
    mine = bring(CHANNELS)
    outcomes = blank_desk.submit().work("train")
    assert set(outcomes.values()) == {"done"}
    network = mtljobs.load_network(blank_desk.run.root, experiment="desk", sparsity=0.0, seed=0)
    for name, weight in network.named_parameters():
        torch.testing.assert_close(weight, mine[name].requires_grad_(), atol=1e-7, rtol=0)


def test_weights_of_another_network_stop_the_training_in_words(blank_desk, bring):
    bring({**CHANNELS, "segmentation": 5})
    (outcome,) = blank_desk.submit().work("train").values()
    for part in ("WeightsError: ", "mine.pth", "branches.segmentation.head.output",
                 "same architecture, width and tasks"):  # fmt: skip
        assert part in outcome


def test_other_weights_than_the_grid_says_are_refused_before_anything_is_queued(blank_desk, bring):
    bring(CHANNELS, sha256="5" * 64)
    with pytest.raises(WeightsError, match=r"mine\.pth is not the one that the grid names"):
        blank_desk.submit()
    assert not blank_desk.run.root.exists()
