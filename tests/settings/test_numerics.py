from __future__ import annotations

import pytest

from mtljobs.settings.numerics import Numerics


@pytest.mark.parametrize(
    ("size", "width", "images"),
    [
        ((256, 256), 1.0, 16),  # 2**20 / 2**16
        ((128, 256), 1.0, 32),  # 2**20 / 2**15
        ((128, 128), 1.0, 64),  # 2**20 / 2**14
        ((128, 256), 0.5, 64),
        ((288, 384), 1.0, 16),  # 9.5, below the least
        ((1024, 2048), 1.0, 16),  # 0.5
        ((192, 192), 1.0, 32),  # 28.4, nearer to 32 than to 16
        ((224, 224), 1.0, 16),  # 20.9, nearer to 16 than to 32
        ((64, 64), 0.0625, 64),  # 4096, above the most
        ((32, 32), 1.0, 64),
    ],
)
def test_auto_fills_a_megapixel_in_powers_of_two(size, width, images):
    assert Numerics().resolved_irof_batch(size, width) == images


def test_batch_that_is_asked_for_is_taken_at_any_size():
    asked = Numerics(irof_batch=3)
    assert asked.resolved_irof_batch((32, 32), 1.0) == 3
    assert asked.resolved_irof_batch((1024, 2048), 1.0) == 3
