"""Pixel flipping and region perturbation by hand: what goes at which step, and what for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from mtljobs.contracts import Explained
from mtljobs.explain.pixel_flipping import PixelFlipping, salient_first
from mtljobs.explain.region_perturbation import RegionPerturbation, grid_of_squares
from mtljobs.explain.removal import NEVER

IMAGE = torch.tensor([[[8.0, 4.0, 2.0, 2.0, 3.0]]])
MAP = [0.1, 0.9, 0.5, 0.9, 0.2]
TWO = np.array([[0, 0, 0, 1, 1]])
"""Superpixels only say how many steps there are."""


@pytest.fixture
def score(tasks):
    return tasks["segmentation"].score


@pytest.fixture
def flipping():
    return PixelFlipping(epsilon=1e-6, fill="black", batch=4)


@pytest.fixture
def squares():
    return RegionPerturbation(edge=2, epsilon=1e-6, fill="white", batch=4)


def explain(image, maps, *, segments, masks=None):
    """What the identity predicts, whose channels are the groups."""
    everything = torch.ones(len(maps), *image.shape[1:], dtype=torch.bool)
    return Explained(
        image=image,
        clean=image,
        masks=everything if masks is None else torch.tensor(masks, dtype=torch.bool)[:, None],
        maps=torch.tensor(maps).reshape(len(maps), *image.shape[1:]),
        segments=segments,
    )


def curve_of(measure, score, explained):
    ((curve,),) = measure.curves(lambda images: images, score, [explained])
    return curve


def test_pixel_flipping_curve_is_worked_out_by_hand(flipping, score):
    curve = curve_of(flipping, score, explain(IMAGE, [MAP], segments=TWO))
    # Of 5 pixels round(2.5) = 3 go first, 4, 2 and 2 at 0.9, 0.9 and 0.5; then 8 and 3. The
    # lowest value is 2. Sums: 19, (8, 2, 2, 2, 3) = 17 and 10.
    assert curve.scores.tolist() == pytest.approx([1.0, 17 / 19, 10 / 19])
    assert curve.order.tolist() == [0, 1]
    assert curve.segment_score.tolist() == pytest.approx([2.3 / 3, 0.3 / 2])
    assert curve.status == 1


@pytest.mark.parametrize(
    ("pixels", "steps", "taken"),
    [(6, 3, [2, 2, 2]), (5, 2, [3, 2]), (7, 3, [2, 3, 2]), (10, 4, [3, 2, 3, 2]), (3, 3, [1] * 3)],
)
def test_steps_of_pixel_flipping_take_equally_many_pixels_or_one_more(pixels, steps, taken):
    maps = np.random.default_rng(0).random((2, 1, pixels))
    for ranks, one in zip(salient_first(maps, steps=steps), maps, strict=True):
        assert np.bincount(ranks[0]).tolist() == taken
        by_step = [one[ranks == step] for step in range(steps)]
        assert all(a.min() > b.max() for a, b in pairwise(by_step))


def test_pixels_that_tie_go_row_by_row():
    ranks = salient_first(np.array([[[0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]]), steps=3)
    assert ranks.tolist() == [[[0, 2, 0], [1, 1, 2]]]


def test_region_perturbation_curve_is_worked_out_by_hand(squares, score):
    # The squares hold (8, 4), (2, 2) and (3), their saliency sums to 1.0, 1.4 and 0.2.
    curve = curve_of(squares, score, explain(IMAGE, [MAP], segments=TWO))
    # The highest value is 8: sums 19, (8, 4, 8, 8, 3) = 31 and (8, 8, 8, 8, 3) = 35.
    assert curve.scores.tolist() == pytest.approx([1.0, 31 / 19, 35 / 19])
    assert curve.order.tolist() == [0, 1]
    assert curve.segment_score.tolist() == pytest.approx([0.7, 0.5])


def test_squares_go_by_the_sum_of_their_saliency_so_that_cut_ones_wait(squares):
    # The last square has one pixel of 0.6 inside the image, the first two of 0.4.
    maps = [[0.4, 0.4, 0.1, 0.1, 0.6]]
    removal = squares.removal(explain(IMAGE, maps, segments=TWO))
    assert removal.ranks.tolist() == [[[0, 0, NEVER, NEVER, 1]]]
    assert removal.part_scores.tolist() == [pytest.approx([0.4, 0.6])]


def test_squares_beyond_the_number_of_superpixels_stay(squares):
    removal = squares.removal(explain(IMAGE, [MAP, MAP[::-1]], segments=TWO))
    everything = removal.images(torch.tensor([0, 1]), torch.tensor([2, 2]))
    assert everything[:, 0, 0].tolist() == [[8, 8, 8, 8, 3], [8, 8, 8, 8, 3]]


def test_grid_is_centred_on_the_image():
    # 7 rows lack one, below; 6 columns two, one on each side.
    grid = grid_of_squares((7, 6), edge=4)
    assert grid[:, 0].tolist() == [0, 0, 0, 0, 2, 2, 2]
    assert grid[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_image_with_more_superpixels_than_squares_is_refused(squares, score):
    four = np.array([[0, 1, 2, 3, 3]])
    with pytest.raises(ValueError, match=r"1 x 5 pixels has 4 superpixels, and 3 squares of edge"):
        curve_of(squares, score, explain(IMAGE, [MAP], segments=four))


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("black", [[0, 0], [0, 0], [0, 0]]),
        ("white", [[6, 6], [6, 6], [6, 6]]),
        ("clean", [[2, 2], [2, 2], [2, 2]]),
        ("channels", [[1.5, 1.5], [3, 3], [1.5, 1.5]]),
        # (3 + 6 + 3)/6 = 2 takes the first pixel, then (6 + 9)/6 = 2.5 the second.
        ("drifting", [[2, 2.5], [2, 2.5], [2, 2.5]]),
    ],
)
@pytest.mark.parametrize("measure", [PixelFlipping, RegionPerturbation])
def test_what_a_part_is_filled_with(measure, fill, expected):
    image = torch.tensor([[[3.0, 0.0]], [[0.0, 6.0]], [[0.0, 3.0]]])
    edge = {"edge": 1} if measure is RegionPerturbation else {}
    built = measure(**edge, epsilon=1e-6, fill=fill, batch=4)
    removal = built.removal(explain(image, [[0.2, 0.1]], segments=np.array([[0, 1]])))
    (filled,) = removal.images(torch.tensor([0]), torch.tensor([2]))
    assert filled[:, 0].tolist() == expected


def test_pixels_of_each_group_drift_on_their_own():
    measure = PixelFlipping(epsilon=1e-6, fill="drifting", batch=4)
    image = torch.tensor([[[8.0, 4.0]]])
    removal = measure.removal(explain(image, [[2.0, 1.0], [1.0, 2.0]], segments=np.array([[0, 1]])))
    # 6 takes the 8 and then (6 + 4)/2 = 5 the 4; 6 takes the 4 and then (8 + 6)/2 = 7 the 8.
    images = removal.images(torch.tensor([0, 1]), torch.tensor([2, 2]))
    assert images[:, 0, 0].tolist() == [[6, 5], [7, 6]]
