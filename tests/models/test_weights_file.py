from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mtljobs.errors import WeightsError
from mtljobs.models.weights_file import load_weights, read_weights

STATE = {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    """Writes any value as torch does."""

    def save(value: object) -> Path:
        path = tmp_path / "weights.pth"
        torch.save(value, path)
        return path

    return save


class Payload:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_same_tensors_come_back_from_either_kind_of_file(saved, tmp_path):
    pickled, safe = saved(STATE), tmp_path / "weights.safetensors"
    save_file(STATE, safe)
    for path in (pickled, safe):
        state = read_weights(path, sha256=sha256(path))
        assert state.keys() == STATE.keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in STATE.items())


def test_missing_file_is_said_with_its_path(tmp_path):
    with pytest.raises(WeightsError, match=r"resnet34\.pth cannot be read \(No such file"):
        read_weights(tmp_path / "resnet34.pth", sha256="0" * 64)


def test_file_with_another_sum_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no pickle at all")
    with pytest.raises(WeightsError, match=f"SHA-256 is {sha256(path)}, expected {'0' * 64}"):
        read_weights(path, sha256="0" * 64)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_truncated_file_is_refused(suffix, saved, tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_file(STATE, whole)
    content = (saved(STATE) if suffix == "pth" else whole).read_bytes()
    path = tmp_path / f"half.{suffix}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="is damaged, or no file of weights alone"):
        read_weights(path, sha256=sha256(path))


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_file_with_a_changed_byte_is_refused_or_read_and_raises_nothing_else(suffix, tmp_path):
    path = tmp_path / f"whole.{suffix}"
    if suffix == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=suffix == "pth")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 100)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x83]) + whole[place + 1 :])
        with suppress(WeightsError):
            read_weights(path, sha256=sha256(path))


def test_pickled_code_is_refused_and_does_not_run(saved, tmp_path):
    path = saved({"weight": Payload(tmp_path / "ran")})
    with pytest.raises(WeightsError, match="Whole pickled models are not read"):
        read_weights(path, sha256=sha256(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"state_dict": STATE, "epoch": 3}, "a dict with no plain tensor under state_dict, epoch"),
        (
            {**STATE, "empty": torch.empty(1, device="meta")},
            "a dict with no plain tensor under empty",
        ),
        ({7: torch.zeros(1)}, "a dict with no plain tensor under 7"),
        ([torch.zeros(1)], "a list"),
    ],
)
def test_file_that_holds_no_state_dict_says_what_it_holds(value, found, saved):
    path = saved(value)
    with pytest.raises(WeightsError, match=f"holds {found}; expected a state dict"):
        read_weights(path, sha256=sha256(path))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, saved):
    path = saved({**STATE, "bias": torch.tensor([value])})
    with pytest.raises(WeightsError, match="not finite, in bias"):
        read_weights(path, sha256=sha256(path))


def test_module_takes_the_weights_that_fit_it():
    module = nn.Linear(2, 1)
    load_weights(module, STATE, source="the file")
    assert module(torch.tensor([1.0, 1.0])).tolist() == [6.0]


def test_file_older_than_the_counters_of_batches_fits():
    norm = nn.BatchNorm2d(2)
    state = {name: value + 1 for name, value in norm.state_dict().items() if "num" not in name}
    load_weights(norm, state, source="the file")
    assert norm.weight.tolist() == [2.0, 2.0]
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bias": None}, "it lacks bias."),
        ({"scale": torch.ones(1)}, "it also holds scale."),
        ({"bias": torch.ones(2)}, "it has other shapes in bias (2,) for (1,)."),
    ],
)
def test_weights_of_another_network_leave_the_module_as_it_was(change, said):
    module = nn.Linear(2, 1)
    before = module.weight.clone()
    state = {k: v for k, v in (STATE | change).items() if v is not None}
    with pytest.raises(WeightsError, match=f"weights of another network.*{re.escape(said)}"):
        load_weights(module, state, source="the file")
    assert torch.equal(module.weight, before)
