"""Faster forward passes: what they compute, and that they leave torch and the network alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtljobs.errors import UserError
from mtljobs.explain.forward import Forward

IMAGES = torch.linspace(0, 3, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8).sin()
FLAGS = {
    "matmul": torch.backends.cuda.matmul, "cudnn": torch.backends.cudnn.conv,
    "mkldnn": torch.backends.mkldnn.conv,
}  # fmt: skip


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)
    )
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return network.eval().requires_grad_(False)


def forward(network, *, example=(IMAGES[:1],), **departures):
    exact = {"precision": "float32", "folded": False, "channels_last": False, "compiled": False}
    return Forward(network=network, example=example, **{**exact, **departures})


def flags():
    return {name: backend.fp32_precision for name, backend in FLAGS.items()}


class Watch(nn.Module):
    """Gives its images back, and notes the flags that it ran under."""

    def forward(self, images):
        self.seen = flags()
        return images


class Fails(nn.Module):
    def forward(self, images):
        raise RuntimeError("broken")


def test_by_default_it_is_the_network_itself_to_the_bit(network):
    assert torch.equal(forward(network)(IMAGES), network(IMAGES))
    assert forward(network)._network is network


@pytest.mark.parametrize(
    ("precision", "inside"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "ieee")]
)
def test_flags_hold_while_the_network_runs_and_no_longer(precision, inside):
    before = flags()
    watch = Watch().eval()
    forward(watch, precision=precision)(IMAGES)
    assert set(watch.seen.values()) == {inside}
    assert flags() == before
    assert not torch.is_autocast_enabled("cpu")


def test_flags_return_after_an_error():
    before = flags()
    with pytest.raises(RuntimeError, match="broken"):
        forward(Fails().eval(), precision="tf32")(IMAGES)
    assert flags() == before


def test_bfloat16_comes_back_as_float32_and_deviates_by_its_rounding(network):
    exact, rounded = network(IMAGES), forward(network, precision="bfloat16")(IMAGES)
    assert rounded.dtype == torch.float32
    assert 0 < torch.dist(rounded, exact) / exact.norm() < 2**-6


def test_predictions_by_name_come_back_as_float32(network):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return {"depth": self.network(images)}

    named = Named().eval()
    assert forward(named, precision="bfloat16")(IMAGES)["depth"].dtype == torch.float32


def test_folded_and_channels_last_change_rounding_alone_and_a_copy(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = forward(network, folded=True, channels_last=True)
    assert fast.unfolded == ()
    torch.testing.assert_close(fast(IMAGES), network(IMAGES), rtol=1e-5, atol=1e-6)
    assert fast(IMAGES).is_contiguous(memory_format=torch.channels_last)
    assert network(IMAGES).is_contiguous()
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_arguments_besides_images_pass_through():
    class Picks(nn.Module):
        def forward(self, images, tasks):
            return dict.fromkeys(tasks, images)

    picks = forward(Picks().eval(), channels_last=True, example=(IMAGES, ("depth",)))
    assert set(picks(IMAGES, ("normals",))) == {"normals"}


def test_network_that_trains_is_refused(network):
    network[1].train()
    with pytest.raises(ValueError, match=r"training mode \(its module '1' at least\)"):
        forward(network)


def test_folding_that_changes_the_prediction_is_refused(network):
    network[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(UserError, match=r"changes its prediction .* folded = false"):
        forward(network, folded=True)


def test_network_that_says_nothing_of_the_example_is_folded(network):
    network.append(nn.ReLU().eval())
    network[3].bias.fill_(-1e3)
    silent = forward(network, folded=True)
    assert not silent(IMAGES).any()


def test_prediction_that_is_no_number_is_not_folded(network):
    network[3].bias.fill_(torch.nan)
    with pytest.raises(UserError, match=r"nan at the mean, by nan at the median"):
        forward(network, folded=True)


def test_compiler_that_is_missing_is_named(network, monkeypatch):
    def compiled(*arguments, **options):
        def fail(*images):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nmore")

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(UserError, match=r"compiler found\. It needs .* compiled = false"):
        forward(network, compiled=True)
