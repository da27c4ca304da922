"""The report shows an image step by step, without torch: as the network saw it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtljobs.contracts import Explained
from mtljobs.explain.irof import IROF
from mtljobs.report.steps import step_images


@pytest.mark.parametrize("fill", ["drifting", "clean", "channels"])
def test_each_step_is_shown_as_irof_gave_it_to_the_network(fill: str) -> None:
    generator = np.random.default_rng(0)
    image = generator.random((3, 12, 16))
    segments = np.arange(12 * 16).reshape(12, 16) // 16 // 2 * 3 + np.arange(16) // 6
    maps = torch.from_numpy(generator.random((2, 12, 16)))
    irof = IROF(epsilon=1e-6, order="stable", fill=fill, batch=1)
    removal = irof.removal(
        Explained(
            image=torch.from_numpy(image),
            clean=torch.zeros(1, 12, 16),
            masks=torch.ones(2, 12, 16, dtype=torch.bool),
            maps=maps,
            segments=segments,
        )
    )
    for group, order in enumerate(removal.order):
        shown = list(step_images(image.transpose(1, 2, 0), segments, order, fill=fill))
        steps = torch.arange(removal.steps + 1)
        seen = removal.images(torch.full_like(steps, group), steps)
        np.testing.assert_allclose(np.stack(shown), seen.permute(0, 2, 3, 1).numpy(), rtol=1e-12)
