from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mtljobs.data.street.fronts import fronts
from mtljobs.data.street.ground import END_M, START_M, Plan, ground

STREET = Plan(lane=3.5, parking=2.2, walk=2.0, verge=1.0, junction=(30.0, 40.0), zebra=(25.5, 28.5))


@pytest.mark.parametrize("seed", range(5))
def test_roadway_has_neither_holes_nor_overlaps(seed: int) -> None:
    boxes = ground(np.random.default_rng(seed), STREET)
    spans = [
        (box.centre[1] - box.half[1], box.centre[1] + box.half[1])
        for box in boxes
        if box.label == "road"
    ]
    ends = [START_M, 25.5, 28.5, 30.0, 40.0, END_M]
    np.testing.assert_allclose(spans, list(pairwise(ends)))


@pytest.mark.parametrize("seed", range(20))
def test_no_house_stands_on_a_road_that_crosses(seed: int) -> None:
    for solid in fronts(np.random.default_rng(seed), STREET):
        if solid.label == "building" and solid.turn:  # turned: its own x lies along the street
            low, high = solid.centre[1] - solid.half[0], solid.centre[1] + solid.half[0]
            assert high <= 30.0 + 1e-9 or low >= 40.0 - 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_nothing_beside_the_street_reaches_over_its_pavements(seed: int) -> None:
    for solid in fronts(np.random.default_rng(seed), STREET):
        if solid.label in ("building", "wall", "fence") and solid.centre[1] < 80:
            inner = abs(solid.centre[0]) - solid.half[1]  # turned: its own y lies across the street
            assert inner >= STREET.front - 0.4 - 1e-9  # eaves
