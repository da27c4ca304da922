"""Quantus 0.6.0 as the oracle of pixel flipping and region perturbation: the same curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantus import PixelFlipping as QuantusPixelFlipping
from quantus import RegionPerturbation as QuantusRegionPerturbation

from mtljobs.contracts import Explained
from mtljobs.explain.pixel_flipping import PixelFlipping
from mtljobs.explain.region_perturbation import RegionPerturbation

STEPS = 24
FILLS = {"black": "black", "white": "white", "drifting": "mean"}
"""Ours -> Quantus's."""


@pytest.fixture
def classifier(classifier):
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.mul_(3)  # answers that depend on the image more than as initialised
    return classifier


@pytest.fixture
def maps():
    """Untied, one per class."""
    return np.random.default_rng(1).random((3, 24, 32)).astype(np.float32)


@pytest.fixture
def our_curves(classifier, tasks, image, maps):
    """The curve of each class, the classifier's answer standing at every pixel."""

    def predict(images):
        shares = classifier(images).softmax(dim=1)
        return shares[:, :, None, None].expand(-1, -1, *images.shape[2:])

    def ask(measure):
        shown = torch.as_tensor(image)
        explained = Explained(
            image=shown,
            clean=predict(shown[None])[0].detach(),
            masks=torch.ones(3, 24, 32, dtype=torch.bool),
            maps=torch.as_tensor(maps),
            segments=np.arange(24 * 32).reshape(24, 32) % STEPS,
        )
        (curves,) = measure.curves(predict, tasks["segmentation"].score, [explained])
        return np.stack([curve.scores for curve in curves])

    return ask


@pytest.fixture
def of_quantus(classifier, image, maps):
    """What Quantus says of each class's map, and each class's clean score."""

    def ask(metric):
        found = metric(
            model=classifier,
            x_batch=np.repeat(image[None], 3, axis=0),
            y_batch=np.arange(3),
            a_batch=maps[:, None],
            channel_first=True,
            device="cpu",
        )
        clean = classifier(torch.as_tensor(image)[None]).softmax(dim=1)
        return np.array(found), clean.detach().numpy().T

    return ask


@pytest.mark.parametrize("fill", FILLS)
def test_curves_of_pixel_flipping_equal_those_of_quantus(our_curves, of_quantus, fill):
    # Quantus flips single values, and a pixel has three.
    metric = QuantusPixelFlipping(
        features_in_step=3 * 24 * 32 // STEPS, perturb_baseline=FILLS[fill], disable_warnings=True
    )
    ours = our_curves(PixelFlipping(epsilon=1e-6, fill=fill, batch=16))
    scores, clean = of_quantus(metric)
    assert ours[:, 1:] == pytest.approx(scores / clean, rel=1e-5)
    assert np.ptp(ours, axis=1).min() > 0.01  # a thousand tolerances


@pytest.mark.parametrize(
    ("edge", "fill"), [(4, "black"), (4, "white"), (4, "drifting"), (5, "black"), (5, "white")]
)
def test_curves_of_region_perturbation_equal_those_of_quantus(our_curves, of_quantus, edge, fill):
    metric = QuantusRegionPerturbation(
        patch_size=edge, regions_evaluation=STEPS, perturb_baseline=FILLS[fill],
        disable_warnings=True,
    )  # fmt: skip
    ours = our_curves(RegionPerturbation(edge=edge, epsilon=1e-6, fill=fill, batch=16))
    lost, clean = of_quantus(metric)
    assert ours[:, 1:] == pytest.approx(1 - lost / clean, rel=1e-5)
    assert np.ptp(ours, axis=1).min() > 0.01  # a thousand tolerances
