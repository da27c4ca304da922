"""Which batch norms may become part of a convolution, and that folding changes rounding alone."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from mtljobs.explain.folding import fold_batch_norms
from mtljobs.settings import build
from mtljobs.settings.models import DeepLabResNet, SegNetMTAN

IMAGES = torch.linspace(-1, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()


def lived_in(network):
    """The network with statistics and scales in its batch norms as training leaves them."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


class Net(nn.Module):
    """Two convolutions and two norms, joined in whatever way a test says."""

    def __init__(self, join, **layers):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.other, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.join = join

    def forward(self, images):
        return self.join(self, images)


class Doubling(nn.BatchNorm2d):
    def forward(self, features):
        return 2 * super().forward(features)


def test_weights_take_over_scale_and_shift():
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0)
    with torch.no_grad():
        conv.weight.fill_(3)
        norm.weight.fill_(5), norm.bias.fill_(7)
        norm.running_mean.fill_(2), norm.running_var.fill_(4)
    network = nn.Sequential(conv, norm).eval()
    assert fold_batch_norms(network, (torch.zeros(1, 1, 1, 1),)) == ()
    # (3 x - 2) / sqrt(4) * 5 + 7 = 7.5 x + 2
    assert (network[0].weight.item(), network[0].bias.item()) == (7.5, 2.0)
    assert isinstance(network[1], nn.Identity)


@pytest.mark.parametrize(
    ("join", "left"),
    [
        (lambda n, x: n.second(n.other(n.norm(n.conv(x)).relu())), ()),
        # One convolution, normalised alike wherever it is used.
        (lambda n, x: n.norm(n.conv(x)) + n.norm(n.conv(x + 1)), ("second",)),
        # The sum takes what the norm takes.
        (lambda n, x: (y := n.conv(x)) + n.norm(y), ("norm", "second")),
        (lambda n, x: (n.norm(y := n.conv(x)), y), ("norm", "second")),
        (lambda n, x: n.norm(n.conv(x).relu_()), ("norm", "second")),
        (lambda n, x: n.norm(n.conv(x)[:1]), ("norm", "second")),
        # Two norms behind one convolution, one norm behind two.
        (lambda n, x: n.norm(n.conv(x)) + n.second(n.conv(x)), ("norm", "second")),
        (lambda n, x: n.norm(n.conv(x)) + n.norm(n.other(n.conv(x))), ("norm", "second")),
        # The weights are used a second time, without a norm.
        (lambda n, x: n.norm(n.conv(x)) * n.conv.weight.sum(), ("norm", "second")),
        (lambda n, x: n.norm(n.conv(x)) * n.conv.bias.sum(), ("norm", "second")),
    ],
)  # fmt: skip
def test_norm_is_folded_where_it_is_all_that_becomes_of_one_convolution(join, left):
    network = lived_in(Net(join))
    before = network(IMAGES)
    assert fold_batch_norms(network, (IMAGES[:1],)) == left
    torch.testing.assert_close(network(IMAGES), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        Doubling(4), nn.BatchNorm2d(4).train(), nn.BatchNorm2d(4, track_running_stats=False),
    ],
)  # fmt: skip
def test_norm_that_does_more_than_multiply_and_shift_stays(layer):
    network = Net(lambda n, x: n.norm(n.conv(x)), norm=layer).requires_grad_(False)
    network.conv.eval()
    assert fold_batch_norms(network, (IMAGES,)) == ("norm", "second")
    assert network.norm is layer


def test_convolution_whose_weights_are_computed_keeps_its_norm():
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    network = Net(lambda n, x: n.norm(n.conv(x)), conv=conv).eval()
    assert fold_batch_norms(network, (IMAGES,)) == ("norm", "second")


def test_inference_mode_around_it_changes_nothing():
    with torch.inference_mode():
        network = lived_in(Net(lambda n, x: n.second(n.other(n.norm(n.conv(x)).relu()))))
        assert fold_batch_norms(network, (IMAGES[:1],)) == ()


def test_norm_of_two_names_is_folded_under_both():
    network = lived_in(Net(lambda n, x: n.alias(n.conv(x))))
    network.alias = network.norm
    before = network(IMAGES)
    assert fold_batch_norms(network, (IMAGES[:1],)) == ("second",)
    assert isinstance(network.norm, nn.Identity)
    torch.testing.assert_close(network(IMAGES), before, rtol=1e-4, atol=1e-5)


def ours(choice):
    channels = {"segmentation": 5, "depth": 1, "normals": 3}
    return build(choice, channels=channels, widths=None)


@pytest.mark.parametrize(
    "choice",
    [
        SegNetMTAN(name="segnet_mtan", width=1 / 16),
        DeepLabResNet(name="deeplab_resnet", width=1 / 16),
    ],
    ids=lambda choice: choice.name,
)
def test_our_networks_fold_whole(choice):
    # In single precision rounding may move a maximum of SegNet's pooling, and with it a feature.
    network, images = lived_in(ours(choice)).double(), IMAGES.double()
    with torch.no_grad():
        before = network(images, network.tasks)
        assert fold_batch_norms(network, (images[:1], network.tasks)) == ()
        after = network(images, network.tasks)
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


def test_branch_that_does_not_run_is_named():
    network = ours(SegNetMTAN(name="segnet_mtan", width=1 / 16)).eval()
    left = fold_batch_norms(network, (IMAGES[:1], ("depth", "normals")))
    assert left
    assert all(name.startswith("branches.segmentation.") for name in left)


@pytest.mark.parametrize(
    "make",
    [torchvision.models.resnet18, torchvision.models.mobilenet_v2],
    ids=lambda make: make.__name__,
)
def test_networks_of_torchvision_fold_whole(make):
    network = make(weights=None).eval()
    assert fold_batch_norms(network, (IMAGES[:1],)) == ()


def test_norm_before_its_convolution_stays():
    network = torchvision.models.densenet121(weights=None).eval()
    left = fold_batch_norms(network, (IMAGES[:1],))
    # In every dense layer norm1 has the joined features of many layers before it; 4 stand alone.
    assert len(left) == 58 + 4
    assert {name.rpartition(".")[2] for name in left} == {"norm1", "norm", "norm5"}
