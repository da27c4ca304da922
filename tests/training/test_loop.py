"""What a step does: parts of a batch, number formats, what it tells."""

from __future__ import annotations

import pytest
import torch


def weights_after(make_trainer, run, name, **settings):
    trainer = make_trainer(plain=True, **settings)
    run(trainer, name)
    return torch.cat([value.flatten() for value in trainer.model.state_dict().values()])


class Full:
    """A few images whose pixels are all valid."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        normals = torch.randn(3, 8, 8, generator=generator)
        return {
            "image": torch.rand(3, 8, 8, generator=generator).numpy(),
            "depth": 1 + torch.rand(1, 8, 8, generator=generator).numpy(),
            "normals": (normals / normals.norm(dim=0)).numpy(),
        }


@pytest.mark.parametrize("parts", [2, 4])
def test_batch_taken_in_parts_teaches_what_the_whole_batch_does(make_trainer, run, parts):
    whole = weights_after(make_trainer, run, "whole", dataset=Full())
    taken = weights_after(make_trainer, run, "parts", dataset=Full(), accumulate=parts)
    torch.testing.assert_close(taken, whole, rtol=0, atol=2e-6)
    assert not torch.equal(taken, weights_after(make_trainer, run, "1", dataset=Full(), batch=2))


def test_no_more_than_one_part_of_a_batch_is_seen_at_a_time(make_trainer, run):
    trainer = make_trainer(accumulate=4, iterations=2)
    seen = []
    trainer.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    run(trainer)
    assert seen == [1] * 8


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_network_computes_in_the_format_and_learns_in_float32(make_trainer, run, name):
    trainer = make_trainer(plain=True, autocast=name)
    formats = set()
    trainer.model.shared[0].register_forward_hook(lambda *call: formats.add(call[2].dtype))
    run(trainer)
    assert formats == {getattr(torch, name)}
    assert {value.dtype for value in trainer.model.state_dict().values()} == {torch.float32}
    exact = weights_after(make_trainer, run, "exact")
    narrow = torch.cat([value.flatten() for value in trainer.model.state_dict().values()])
    # Nine steps of 0.01: apart by a few, as where a sign differs or a step overflowed float16.
    torch.testing.assert_close(narrow, exact, rtol=0, atol=5e-2)
    assert not torch.equal(narrow, exact)


def test_hooks_see_gradients_at_their_true_size_under_float16(make_trainer, run):
    class Look:
        def __init__(self):
            self.largest = []

        def after_backward(self, model, step):
            self.largest.append(model.shared[0].weight.grad.abs().max().item())

        def after_step(self, model, step):
            pass

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    looks = {name: Look() for name in ("off", "float16")}
    for name, look in looks.items():
        run(make_trainer(plain=True, iterations=1, autocast=name, hooks=(look,)), name)
    # The loss was scaled by 65,536.
    assert looks["float16"].largest == pytest.approx(looks["off"].largest, rel=0.02)


def test_channels_last_is_a_layout_and_no_other_result(make_trainer, run):
    trainer = make_trainer(plain=True, channels_last=True)
    run(trainer)
    assert trainer.model.shared[0].weight.is_contiguous(memory_format=torch.channels_last)
    values = torch.cat([value.flatten() for value in trainer.model.state_dict().values()])
    expected = weights_after(make_trainer, run, "contiguous")
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-5)


def test_history_is_told_as_it_is_made_and_says_rate_and_losses(make_trainer, run):
    told, at = [], []
    trainer = make_trainer(decay_every=5)
    history = run(trainer, told=lambda entry: (told.append(entry), at.append(trainer.iteration)))
    assert told == history
    assert at == [entry["iteration"] for entry in history] == list(range(1, 10))
    assert set(history[0]) == {
        "iteration",
        "learning_rate",
        "train/depth/loss",
        "train/normals/loss",
    }
    assert [entry["learning_rate"] for entry in history] == [1e-2] * 5 + [5e-3] * 4
