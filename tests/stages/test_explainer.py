"""An explainer's images do not meet, its batches do; what is exact, what is as the grid says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.settings.explain import IROF, SLIC, Forward, GradCAM
from mtljobs.settings.models import SegNetMTAN
from mtljobs.settings.tasks import Depth, Normals
from mtljobs.stages.explainer import Explainer

ROOMS = Rooms(name="rooms", size=(32, 32), train=1, test=3)
BATCH = 16


@pytest.fixture
def images():
    """Three images with their superpixels."""
    dataset = build(ROOMS, info=ROOMS.info(), split="test", root=None)
    slic = build(SLIC(name="slic", n_segments=12))
    samples = [dataset[index]["image"] for index in range(3)]
    return [(image, slic.segments(image)) for image in samples]


def _settle(model, tasks):
    """Norms as after a training, in evaluation mode, and depths of several bins."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        model.train()(torch.rand(8, 3, 32, 32), tasks)
    model.eval().requires_grad_(False)
    model.branches["depth"].head.output.weight *= 20
    model.branches["depth"].head.output.bias += 4


@pytest.fixture
def make():
    """Makes an explainer of a narrow SegNet-MTAN, and a list of what `forward` was called with."""

    def explainer(*tasks, layer="conv_block_dec.0"):
        torch.manual_seed(0)
        built = {task.name: build(task, info=ROOMS.info()) for task in tasks}
        model = build(
            SegNetMTAN(name="segnet_mtan", width=1 / 16),
            channels={name: task.channels for name, task in built.items()},
            widths=None,
        )
        _settle(model, tuple(built))
        calls = []
        forward = build(Forward(), network=model, example=(torch.zeros(1, 3, 32, 32), tuple(built)))

        def watched(images, names):
            calls.append((len(images), names))
            return forward(images, names)

        made = Explainer(
            model=model,
            forward=watched,
            tasks=built,
            saliency=build(GradCAM(name="grad_cam", layer=layer)),
            faithfulness=build(IROF(name="irof"), batch=BATCH),
            segments_max=32,
            device=torch.device("cpu"),
        )
        return made, calls

    return explainer


def test_each_task_fills_its_own_batches_across_images(make, images):
    explainer, calls = make(Depth(name="depth"), Normals(name="normals"))
    found = list(explainer.explain(images))
    lengths = [segments.max() + 1 for _, segments in images]
    for name in ("depth", "normals"):
        rows = sum(
            length * np.count_nonzero(arrays[name]["status"] == 1)
            for length, arrays in zip(lengths, found, strict=True)
        )
        assert rows > BATCH
        assert calls.count((BATCH, (name,))) == -(-rows // BATCH)
    assert calls.count((1, ("depth", "normals"))) == 3  # the clean predictions
    assert len(calls) == 3 + sum(calls.count((BATCH, (name,))) for name in ("depth", "normals"))


def test_an_image_comes_to_the_same_bytes_alone_and_in_another_order(make, images):
    explainer, _ = make(Depth(name="depth"), Normals(name="normals"))
    together = list(explainer.explain(images))
    for order in ([0], [2, 0, 1]):
        found = explainer.explain(images[index] for index in order)
        for index, arrays in zip(order, found, strict=True):
            for task, own in arrays.items():
                for name, values in own.items():
                    assert values.tobytes() == together[index][task][name].tobytes(), name


def test_a_layer_before_a_linear_head_is_warned_of_once(make, images, caplog):
    explainer, _ = make(Depth(name="depth"), layer="branches.depth.head.hidden")
    found = list(explainer.explain(images))
    fit = [np.count_nonzero(arrays["depth"]["cam_max"] > 0) for arrays in found]
    assert min(fit) > 1
    (record,) = caplog.records
    assert "all groups of depth have one map, up to a factor, in 3 images" in record.getMessage()


def test_a_layer_that_tells_the_groups_apart_is_not_warned_of(make, images, caplog):
    explainer, _ = make(Depth(name="depth"))
    list(explainer.explain(images))
    assert not caplog.records
