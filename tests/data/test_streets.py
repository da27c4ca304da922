from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest

from mtljobs.contracts import Sample
from mtljobs.data.street.render import camera_of, render
from mtljobs.data.streets import Streets
from mtljobs.settings import build
from mtljobs.settings import data as settings
from mtljobs.settings.classes import CITYSCAPES7_OF_19, CITYSCAPES19_CLASSES


def streets(
    split: str = "train", *, size: tuple[int, int] = (32, 64), seed: int = 0, classes: int = 19
) -> Streets:
    choice = settings.Streets(
        name="streets", size=size, train=60, test=10, seed=seed, classes=classes
    )
    built: Streets = build(choice, info=choice.info(), split=split, root=None)
    return built


def stacked(samples: Iterable[Sample], name: str) -> np.ndarray:
    return np.stack([sample[name] for sample in samples])


def digest(sample: Sample) -> str:
    joined = b"".join(sample[name].tobytes() for name in sorted(sample))
    return hashlib.sha256(joined).hexdigest()


def label(name: str) -> int:
    return CITYSCAPES19_CLASSES.index(name)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    dataset = streets()
    return [dataset[index] for index in range(len(dataset))]


def test_pixels_at_the_same_place_see_the_same_at_every_size() -> None:
    # The middles of 32 x 64 pixels are those of every third pixel of 96 x 192.
    scene = streets(size=(32, 64)).scene(5)
    assert scene == streets(size=(96, 192)).scene(5)
    coarse, fine = render(scene, (32, 64)), render(scene, (96, 192))
    np.testing.assert_array_equal(coarse.face, fine.face[1::3, 1::3])
    np.testing.assert_allclose(coarse.depth, fine.depth[1::3, 1::3], rtol=1e-9)


def test_every_class_appears_and_most_images_show_many(samples: list[Sample]) -> None:
    shown = [set(np.unique(sample["segmentation"])) - {-1} for sample in samples]
    assert set.union(*shown) == set(range(19))
    assert np.mean([len(classes) for classes in shown]) > 9


def test_classes_cover_about_as_much_as_in_cityscapes(samples: list[Sample]) -> None:
    labels = stacked(samples, "segmentation")
    share = {name: (labels == label(name)).mean() for name in CITYSCAPES19_CLASSES}
    assert 0.25 < share["road"] < 0.45
    assert 0.12 < share["building"] < 0.3
    assert 0.05 < share["car"] < 0.15
    assert share["sky"] < 0.15
    assert max(share["rider"], share["motorcycle"], share["traffic light"]) < 0.01


def test_seven_categories_are_the_nineteen_classes_merged() -> None:
    fine, coarse = streets(classes=19)[3], streets(classes=7)[3]
    np.testing.assert_array_equal(fine["image"], coarse["image"])
    np.testing.assert_array_equal(fine["depth"], coarse["depth"])
    labelled = fine["segmentation"] >= 0
    merged = np.array(CITYSCAPES7_OF_19)[fine["segmentation"][labelled]]
    np.testing.assert_array_equal(coarse["segmentation"][labelled], merged)


def test_sky_has_no_disparity(samples: list[Sample]) -> None:
    sky = stacked(samples, "segmentation") == label("sky")
    assert sky.mean() > 0.02
    assert (stacked(samples, "depth")[:, 0][sky] == 0).all()


def test_disparity_of_the_road_is_that_of_a_plane_below_the_camera(samples: list[Sample]) -> None:
    _, down, _ = camera_of((32, 64)).rays(np.arange(32), np.arange(64))
    for index in range(20):
        view = streets().scene(index).world.view
        # A ray (x, y, 1) of a camera with this pitch meets the ground at depth height / slope.
        slope = down * np.cos(view.pitch) + np.sin(view.pitch)
        plane = 0.22 * 1.1 * slope / view.position[2] * 8
        disparity, labels = samples[index]["depth"][0], samples[index]["segmentation"]
        seen = (labels == label("road")) & (disparity > 0)
        assert seen.mean() > 0.1
        np.testing.assert_allclose(disparity[seen], plane[seen], rtol=1e-5)


def test_disparity_reaches_from_nothing_to_the_range_of_the_matching(
    samples: list[Sample],
) -> None:
    disparity = stacked(samples, "depth")
    valid = disparity[disparity > 0]
    scale = settings.Streets(name="streets").info().depth_scale
    assert 0.8 * scale < valid.max() <= scale
    assert np.percentile(valid, 5) < 0.1 * scale


def test_invalid_pixels_are_a_small_share_like_a_real_cameras(samples: list[Sample]) -> None:
    labels = stacked(samples, "segmentation")
    no_disparity = stacked(samples, "depth")[:, 0] == 0
    assert 0.03 < no_disparity[labels != label("sky")].mean() < 0.2
    assert 0.01 < (labels == -1).mean() < 0.15
