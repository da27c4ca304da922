"""Quantus 0.6.0 as the oracle: the same area for the same maps, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantus import IROF as QuantusIROF  # noqa: N811 (there are two)

from mtljobs.contracts import Explained
from mtljobs.explain.irof import IROF
from mtljobs.explain.superpixels import SLIC


def fill_with_mean_of_image(arr, mask, **_):
    """What Quantus 0.5.3 does: 0.6.0 cannot mask RGB, and takes its mean over the batch."""
    return np.where(mask, arr.mean(axis=(1, 2, 3), keepdims=True), arr)


@pytest.fixture
def images(image):
    """Three images whose superpixels differ in number."""
    return np.stack([image, np.flip(image, axis=0) ** 2, np.roll(image, 5, axis=2) * 0.5])


@pytest.fixture
def maps():
    """Untied, one per image and class."""
    return np.random.default_rng(1).random((3, 3, 24, 32)).astype(np.float32)


def areas_of_quantus(classifier, images, maps, group):
    metric = QuantusIROF(
        perturb_func=fill_with_mean_of_image, return_aggregate=False, disable_warnings=True
    )
    return metric(
        model=classifier,
        x_batch=images,
        y_batch=np.full(len(images), group),
        a_batch=maps[:, group : group + 1],
        batch_size=1,
        channel_first=True,
        device="cpu",
    )


def areas_of_ours(classifier, tasks, image, maps):
    """Quantus's number of each class, the classifier's answer standing at every pixel."""

    def predict(images):
        shares = classifier(images).softmax(dim=1)
        return shares[:, :, None, None].expand(-1, -1, *images.shape[2:])

    shown = torch.as_tensor(image.copy())
    explained = Explained(
        image=shown,
        clean=predict(shown[None])[0].detach(),
        masks=torch.ones(3, 24, 32, dtype=torch.bool),
        maps=torch.as_tensor(maps),
        segments=SLIC(n_segments=100, compactness=10.0).segments(image),
    )
    irof = IROF(epsilon=1e-6, order="stable", fill="drifting", batch=16)
    (curves,) = irof.curves(predict, tasks["segmentation"].score, [explained])
    steps = [len(curve.scores) - 1 for curve in curves]
    return [
        count - np.trapezoid(curve.scores[1:]) for count, curve in zip(steps, curves, strict=True)
    ]


@pytest.mark.filterwarnings("ignore:`trapz` is deprecated:DeprecationWarning")
def test_areas_equal_those_of_quantus(classifier, tasks, images, maps):
    ours = [areas_of_ours(classifier, tasks, *pair) for pair in zip(images, maps, strict=True)]
    for group in range(3):
        reference = areas_of_quantus(classifier, images, maps, group)
        assert [found[group] for found in ours] == pytest.approx(reference, rel=1e-6)
        assert np.ptp(reference) > 0.01
