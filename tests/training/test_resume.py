"""Training stopped and resumed: the same network, however often and with however many loaders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtljobs.errors import StopRequested

SETTINGS = {"decay_every": 3, "flip": True, "scales": (1.0, 1.2, 1.5)}


def same_weights(one, other):
    weights, others = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3")  # fewer cores are no fault
@pytest.mark.parametrize("loader_workers", [0, 1, 3])
def test_training_stopped_twice_ends_in_the_same_bits_with_any_number_of_loader_workers(
    make_trainer, run, run_in_pieces, loader_workers
):
    straight = make_trainer(**SETTINGS)
    history = run(straight)
    resumed, resumed_history = run_in_pieces(2, 5, loader_workers=loader_workers, **SETTINGS)
    assert same_weights(resumed, straight)
    assert resumed_history == history
    assert [entry["iteration"] for entry in history] == list(range(1, 10))


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate": 2},
        {"autocast": "bfloat16"},
        {"autocast": "float16"},
        {"channels_last": True},
        {"zoom": "exact", "scales": (1.5,)},
        {"validate_every": 2, "keep": "best"},
        {"validate_every": 4, "accumulate": 4, "autocast": "bfloat16", "keep": "best"},
    ],
    ids="-".join,
)
def test_resumed_training_ends_in_the_same_bits_with(make_trainer, run, run_in_pieces, settings):
    straight = make_trainer(**settings)
    history = run(straight)
    # A validation asks whether to stop, too: some of these stops fall into one.
    resumed, resumed_history = run_in_pieces(1, 3, 3, **settings)
    assert same_weights(resumed, straight)
    assert resumed_history == history


def test_stop_is_heard_before_the_next_step_and_loses_nothing(make_trainer, run, stop_after):
    with pytest.raises(StopRequested, match="iteration 4"):
        run(make_trainer(), stop=stop_after(4))
    seen = []
    run(make_trainer(), progress=lambda done, total, what: seen.append(done))
    assert seen == [5, 6, 7, 8, 9]


def test_corrupt_checkpoint_is_set_aside_and_training_comes_to_the_same_network(
    make_trainer, run, stop_after, tmp_path
):
    straight = make_trainer()
    run(straight, "straight")
    with pytest.raises(StopRequested):
        run(make_trainer(), stop=stop_after(5))
    checkpoint = tmp_path / "checkpoint"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(bytes(content))
    again = make_trainer()
    run(again)
    assert same_weights(again, straight)
    assert checkpoint.with_suffix(".corrupt").exists()


def test_learning_rate_halves_every_decay_and_starts_there_after_a_resume(make_trainer):
    trainer = make_trainer(decay_every=3)
    rates = []
    for trainer.iteration in (0, 2, 3, 8):
        rates.append(trainer._rate())
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 5e-3, 2.5e-3])


def test_training_leaves_the_generators_of_other_devices_alone(
    make_trainer, run_in_pieces, monkeypatch
):
    # Those of two GPUs cannot be taken up where a resume sees one, or none.
    def refuse(*_):
        raise AssertionError("asked for the generators of all devices")

    monkeypatch.setattr(torch.cuda, "get_rng_state_all", refuse)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", refuse)
    resumed, history = run_in_pieces(2)
    assert resumed.iteration == len(history) == 9
