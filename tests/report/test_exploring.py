from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mtljobs.ledger.paths import RunFolder
from mtljobs.report.exploring import NO_NUMBER, pack_run
from mtljobs.results import open_run

ROOM = 10_000_000


@pytest.fixture(scope="module")
def run(synthetic, tmp_path_factory: pytest.TempPathFactory):
    folder = RunFolder(tmp_path_factory.mktemp("exploring") / "study")
    return open_run(synthetic.write_run(folder).root)


@pytest.fixture(scope="module")
def packed(run) -> dict:
    return experiments_of(pack_run(run, limit=ROOM).data)


def experiments_of(data: str) -> dict:
    """What was packed, by experiment, its items by seed and image."""
    experiments = dict(json.loads(data)["experiments"])
    for experiment in experiments.values():
        experiment["seeds"] = {seed: dict(images) for seed, images in experiment["seeds"]}
    return experiments


def decode(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def item_of(packed: dict, task: str, image: str = "test-00001") -> dict:
    return packed["segnet-netslim"]["seeds"]["1"][image][task]


def test_curves_come_back_to_one_part_in_65534_of_their_range(run, packed) -> None:
    item = item_of(packed, "depth")
    steps = decode(item["curves"], "<u2").reshape(3, 5, -1)
    curves = item["low"] + steps * (item["high"] - item["low"]) / (NO_NUMBER - 1)
    stored = run["segnet-netslim/depth/irof"].sel(seed=1, image="test-00001").values[..., :21]
    assert steps.shape[-1] == 21  # 20 superpixels
    assert np.abs(curves - stored).max() <= 0.51 * (item["high"] - item["low"]) / 65534


def test_an_item_without_a_curve_keeps_its_status_and_has_no_numbers(run, packed) -> None:
    assert json.loads(pack_run(run, limit=0).data)["statuses"]["3"] == "map all zero"
    seeds = packed["segnet-netslim"]["seeds"]
    item = seeds["0"]["test-00000"]["depth"]  # its map is all zero at 90 %
    assert [row[1] for row in item["status"]] == [1, 1, 3]
    assert [row[1] is None for row in item["aoc"]] == [False, False, True]
    steps = decode(item["curves"], "<u2").reshape(15, -1)
    assert np.flatnonzero((steps == NO_NUMBER).all(axis=1)).tolist() == [11]
    assert np.flatnonzero((steps == NO_NUMBER).any(axis=1)).tolist() == [11]


def test_superpixels_come_back_from_their_runs(run, packed) -> None:
    picture = packed["segnet-hrank"]["pictures"]["test-00001"]
    labels, lengths = decode(picture["runs"], "<u2").reshape(-1, 2).T
    segments = np.repeat(labels, lengths).reshape(picture["rows"], picture["columns"])
    np.testing.assert_array_equal(segments, run["segnet-hrank/inputs/segments"].values[1])
    assert base64.b64decode(picture["jpeg"]).startswith(b"\xff\xd8")


def test_maps_are_shares_of_their_own_maximum(run, packed) -> None:
    item = item_of(packed, "normals")
    maps = decode(item["map"], "u1").reshape(3, 4, *item["mapSize"])
    stored = run["segnet-netslim/normals/cam"].sel(seed=1, image="test-00001").values
    shares = stored / stored.max(axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(maps / 255, shares, atol=0.5 / 255 + 1e-6)


def test_what_does_not_fit_is_left_out_and_said(run) -> None:
    whole = pack_run(run, limit=ROOM)
    assert whole.held["segnet-netslim"] == "2 of 6 images with seed 0, 2 of 6 images with seed 1"
    half = pack_run(run, limit=len(whole.data) // 2)
    assert len(half.data) <= len(whole.data) // 2
    assert half.held["segnet-netslim"].endswith("0 of 6 images with seed 1")
    experiments = experiments_of(half.data)
    counts = {name: len(values["seeds"]["0"]) for name, values in experiments.items()}
    assert max(counts.values()) - min(counts.values()) <= 1  # one of each at a time
    assert experiments_of(pack_run(run, limit=0).data) == {}


def change(synthetic, tmp_path: Path, *, faithfulness: dict | None = None, **changes):
    layout = synthetic.make_layouts()["segnet-hrank"]
    experiment = layout.settings["experiment"]
    if faithfulness:
        explain = {**experiment["explain"], "faithfulness": faithfulness}
        changes["settings"] = {
            **layout.settings, "experiment": {**experiment, "explain": explain},
        }  # fmt: skip
    layout = dataclasses.replace(layout, tasks={"depth": layout.tasks["depth"]}, **changes)
    folder = synthetic.write_run(RunFolder(tmp_path / "run"), layouts={"changed": layout})
    return experiments_of(pack_run(open_run(folder.root), limit=ROOM).data)["changed"]


def test_without_pictures_the_first_images_are_packed_all_the_same(synthetic, tmp_path) -> None:
    experiment = change(synthetic, tmp_path, previews=0)
    assert list(experiment["pictures"]) == [f"test-{index:05d}" for index in range(4)]
    assert all("jpeg" not in picture for picture in experiment["pictures"].values())


def test_without_maps_superpixels_have_their_scores(synthetic, tmp_path) -> None:
    experiment = change(synthetic, tmp_path, maps="scores")
    item = experiment["seeds"]["0"]["test-00000"]["depth"]
    assert "map" not in item
    scores = decode(item["scores"], "u1").reshape(3, 5, 16)
    peaks = np.full((3, 5), 255)
    peaks[1, 1] = 0  # an item without scores
    assert scores.max(axis=-1).tolist() == peaks.tolist()


def test_a_measure_that_removes_no_superpixels_says_so(synthetic, tmp_path) -> None:
    changed = {"name": "pixel_flipping", "fill": "black"}
    experiment = change(synthetic, tmp_path, maps="scores", faithfulness=changed)
    assert experiment["fill"] is None
    assert not {"map", "scores"} & set(experiment["seeds"]["0"]["test-00000"]["depth"])


def test_a_run_without_any_curve_has_nothing_to_explore(synthetic, tmp_path) -> None:
    layout = synthetic.make_layouts()["segnet-hrank"]
    layouts = {"young": dataclasses.replace(layout, tasks={"depth": layout.tasks["depth"]})}
    arrays = synthetic.make_arrays(layouts)
    arrays["young/depth"]["status"][:] = 0
    folder = synthetic.write_run(RunFolder(tmp_path / "run"), layouts=layouts, arrays=arrays)
    packed = pack_run(open_run(folder.root), limit=ROOM)
    assert experiments_of(packed.data) == {}
    assert packed.held == {"young": "0 of 6 images with seed 0, 0 of 6 images with seed 1"}


def test_the_data_cannot_end_its_script(synthetic, tmp_path) -> None:
    layout = synthetic.make_layouts()["segnet-hrank"]
    images = ("</script><b>", *layout.images[1:])
    layouts = {"segnet-hrank": dataclasses.replace(layout, images=images)}
    folder = synthetic.write_run(RunFolder(tmp_path / "run"), layouts=layouts)
    data = pack_run(open_run(folder.root), limit=ROOM).data
    assert "<" not in data
    assert images[0] in experiments_of(data)["segnet-hrank"]["pictures"]


def test_large_images_and_maps_are_shown_smaller(synthetic, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mtljobs.report.exploring.PICTURE_SIZE", (32, 48))
    monkeypatch.setattr("mtljobs.report.exploring.MAP_SIZE", (8, 96))
    experiment = change(synthetic, tmp_path)
    picture = experiment["pictures"]["test-00000"]
    assert (picture["rows"], picture["columns"]) == (32, 48)
    labels, lengths = decode(picture["runs"], "<u2").reshape(-1, 2).T
    segments = np.repeat(labels, lengths).reshape(32, 48)
    # 4 x 4 rectangles of 16 pixels: 8 rows and 12 columns each.
    np.testing.assert_array_equal(segments, np.arange(16).reshape(4, 4).repeat(8, 0).repeat(12, 1))
    assert experiment["seeds"]["0"]["test-00000"]["depth"]["mapSize"] == [8, 16]
