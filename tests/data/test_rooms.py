from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest

from mtljobs.contracts import Sample
from mtljobs.data import cache
from mtljobs.data.room.render import camera_of
from mtljobs.data.rooms import Rooms
from mtljobs.settings import build
from mtljobs.settings import data as settings


def rooms(split: str = "train", *, size: tuple[int, int] = (32, 48), seed: int = 0) -> Rooms:
    choice = settings.Rooms(name="rooms", size=size, train=40, test=10, seed=seed)
    built: Rooms = build(choice, info=choice.info(), split=split, root=None)
    return built


def stacked(samples: Iterable[Sample], name: str) -> np.ndarray:
    return np.stack([sample[name] for sample in samples])


def digest(sample: Sample) -> str:
    joined = b"".join(sample[name].tobytes() for name in sorted(sample))
    return hashlib.sha256(joined).hexdigest()


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    dataset = rooms()
    return [dataset[index] for index in range(len(dataset))]


def test_scene_is_the_same_at_every_size() -> None:
    assert rooms(size=(32, 32)).scene(5) == rooms(size=(64, 96)).scene(5)


def test_every_class_appears_and_most_images_show_many(samples: list[Sample]) -> None:
    shown = [set(np.unique(sample["segmentation"])) - {-1} for sample in samples]
    assert set.union(*shown) == set(range(13))
    assert np.mean([len(classes) for classes in shown]) > 7


def test_depth_is_metric_within_the_range_of_a_sensor(samples: list[Sample]) -> None:
    depth = stacked(samples, "depth")
    valid = depth[depth > 0]
    assert valid.min() >= 0.5
    assert valid.max() <= 8.0
    assert np.percentile(valid, 90) - np.percentile(valid, 10) > 2


def test_invalid_pixels_are_a_small_share_like_a_real_sensors(samples: list[Sample]) -> None:
    assert 0.03 < (stacked(samples, "depth") == 0).mean() < 0.2
    assert 0.01 < (stacked(samples, "segmentation") == -1).mean() < 0.15


def test_most_of_a_windows_depth_is_missing(samples: list[Sample]) -> None:
    window = stacked(samples, "segmentation") == settings.NYU13_CLASSES.index("window")
    assert (stacked(samples, "depth")[:, 0][window] == 0).mean() > 0.7


def test_normals_are_unit_vectors_that_face_the_camera_where_depth_is_valid(
    samples: list[Sample],
) -> None:
    rays = camera_of((32, 48)).rays(np.arange(32), np.arange(48))
    for sample in samples:
        valid = sample["depth"][0] > 0
        normals = sample["normals"]
        np.testing.assert_allclose(np.linalg.norm(normals, axis=0)[valid], 1, atol=1e-6)
        assert (normals[:, ~valid] == 0).all()
        assert ((normals * rays).sum(axis=0)[valid] < 0).all()


def test_floor_normals_point_up_and_ceiling_normals_down(samples: list[Sample]) -> None:
    for sample in samples:
        valid = sample["depth"][0] > 0
        for name, sign in (("floor", -1), ("ceiling", 1)):
            seen = valid & (sample["segmentation"] == settings.NYU13_CLASSES.index(name))
            assert (sign * sample["normals"][1][seen] > 0.85).all()  # pitch up to 0.42: cos 0.91


def test_points_of_the_floor_lie_in_one_plane_below_the_camera(samples: list[Sample]) -> None:
    rays = camera_of((32, 48)).rays(np.arange(32), np.arange(48))
    heights = []
    for sample in samples:
        floor = sample["segmentation"] == settings.NYU13_CLASSES.index("floor")
        chosen = floor & (sample["depth"][0] > 0)
        offset = -(sample["normals"] * rays * sample["depth"]).sum(axis=0)[chosen]
        if offset.size:
            assert np.ptp(offset) < 1e-4
            heights.append(offset[0])
    assert len(heights) > 30
    assert 1.2 <= min(heights) < max(heights) <= 1.8


def linear_prediction(train: list[Sample], test: list[Sample], targets: np.ndarray) -> np.ndarray:
    """Least squares from colour and position of each pixel alone, evaluated on test images."""

    def features(samples: list[Sample]) -> np.ndarray:
        image = stacked(samples, "image").transpose(0, 2, 3, 1).reshape(-1, 3)
        row, column = np.mgrid[-1:1:32j, -1:1:48j].reshape(2, -1)
        place = np.stack([row, column, row**2, column**2, np.ones_like(row)], axis=1)
        place = np.tile(place, (len(samples), 1))
        return np.concatenate([place, image, image**2, place[:, :1] * image], axis=1)

    weights = np.linalg.lstsq(features(train), targets, rcond=None)[0]
    return features(test) @ weights


def test_colour_and_place_alone_tell_more_than_a_constant(samples: list[Sample]) -> None:
    train, test = samples[:30], samples[30:]
    depth, true = (stacked(part, "depth").reshape(-1) for part in (train, test))
    classes, named = (stacked(part, "segmentation").reshape(-1) for part in (train, test))

    predicted = linear_prediction(train, test, np.where(depth > 0, depth, np.median(depth)))
    error = np.abs(predicted - true)[true > 0].mean()
    constant_error = np.abs(np.median(depth[depth > 0]) - true)[true > 0].mean()
    assert error < 0.85 * constant_error

    scores = linear_prediction(train, test, np.eye(14)[classes])[:, :13]
    accuracy = (scores.argmax(axis=1) == named)[named >= 0].mean()
    wall = (named == settings.NYU13_CLASSES.index("wall"))[named >= 0].mean()
    assert accuracy > wall + 0.15


def test_cached_sample_is_not_changed_by_whoever_received_it() -> None:
    dataset = rooms()
    first = dataset[0]
    before = digest(first)
    for array in dataset[0].values():
        array[...] = 0
    assert digest(dataset[0]) == before


def test_cache_renders_each_sample_once_until_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT_BYTES", 20)
    made: list[int] = []

    def make(index: int) -> Sample:
        made.append(index)
        return {"image": np.full(2, index, np.float32)}  # 8 bytes

    kept = cache.SampleCache(length=8)
    values = [float(kept.get(index, make)["image"][0]) for index in (5, 6, 7, 5, 6, 7)]
    assert values == [5, 6, 7, 5, 6, 7]
    assert made == [5, 6, 7, 7]  # two samples fit into 20 bytes
