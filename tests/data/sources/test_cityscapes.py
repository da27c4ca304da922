from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtljobs.data.sources.cityscapes_official import MEANING
from mtljobs.data.sources.layouts import open_source
from mtljobs.errors import DataError
from mtljobs.settings.classes import CITYSCAPES7_CLASSES, CITYSCAPES7_OF_19, CITYSCAPES19_CLASSES

SAMPLES = Path(__file__).resolve().parents[4] / "shared/samples"


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f"the real samples of {SAMPLES} are not here")
    return SAMPLES


@pytest.fixture
def label_table(samples):
    with (samples / "cityscapes-meta/labels.csv").open() as file:
        return list(csv.DictReader(file))


def test_train_ids_and_names_are_those_of_the_official_table(label_table):
    for row in label_table:
        if int(row["id"]) >= 0:
            label = MEANING[int(row["id"])]
            assert label == (-1 if row["trainId"] == "255" else int(row["trainId"]))
            assert label < 0 or CITYSCAPES19_CLASSES[label] == row["name"]


def test_categories_are_those_of_the_official_table(label_table):
    trained = [row for row in label_table if row["trainId"] not in {"255", "-1"}]
    assert len(trained) == 19
    for row in trained:
        category = CITYSCAPES7_OF_19[int(row["trainId"])]
        assert CITYSCAPES7_CLASSES[category] == row["category"]


def test_real_street_has_the_labels_that_another_project_gave_it(
    samples, cityscapes_official, save
):
    folder = samples / "deeplab2-cityscapes-layout"
    with Image.open(
        folder / "gtFine/cityscapes_panoptic_dummy_trainId/dummy_000000_000000_gtFine_panoptic.png"
    ) as image:
        colours = np.asarray(image).astype(int)
    with Image.open(folder / "eval/eval_semantic_target_trainid_uint16.png") as image:
        expected = np.asarray(image).astype(int)
    ids = colours @ np.array([1, 256, 65536])
    label_ids = np.where(ids < 1000, ids, ids // 1000).astype(np.uint8)
    name = "val/lindau/lindau_000000_000019"
    save(cityscapes_official.root / f"gtFine/{name}_gtFine_labelIds.png", label_ids)
    source = open_source("cityscapes", cityscapes_official.root, "official")
    labels = source.read("lindau_000000_000019", "segmentation")
    np.testing.assert_array_equal(labels, np.where(expected == 255, -1, expected))
    assert {CITYSCAPES19_CLASSES[label] for label in np.unique(labels[labels >= 0])} == {
        "road", "building", "vegetation", "sky", "car"
    }  # fmt: skip


class TestOfficial:
    def test_images_are_found_by_city_and_the_validation_split_is_test(self, cityscapes_official):
        source = open_source("cityscapes", cityscapes_official.root, "official")
        assert source.problems == ()
        assert source.contents.splits["train"][:2] == (
            "aachen_000000_000019",
            "aachen_000001_000019",
        )
        assert source.contents.splits["test"] == ("lindau_000000_000019",)
        assert source.contents.scenes["ulm_000001_000019"] == "ulm"
        image = np.moveaxis(source.read("bremen_000000_000019", "image"), 0, -1)
        np.testing.assert_allclose(image, cityscapes_official.values["image"][2] / 255, atol=1e-7)

    def test_disparity_is_p_minus_1_over_256_pixels(self, cityscapes_official):
        source = open_source("cityscapes", cityscapes_official.root, "official")
        disparity = source.read("aachen_000001_000019", "depth")[0]
        assert disparity[0, :3].tolist() == [0, 0, 1]  # missing; no disparity; (257 - 1) / 256
        p = cityscapes_official.values["p"][1].astype(float)
        np.testing.assert_allclose(disparity[1:], (p[1:] - 1) / 256)

    def test_8_bit_disparity_is_refused(self, cityscapes_official, save):
        path = cityscapes_official.root / "disparity/train/ulm/ulm_000000_000019_disparity.png"
        save(path, np.ones((12, 16), np.uint8))
        source = open_source("cityscapes", cityscapes_official.root, "official")
        with pytest.raises(
            DataError, match=r"ulm_000000_.* uint8; expected a disparity of 16 bits"
        ):
            source.read("ulm_000000_000019", "depth")

    def test_folder_without_disparity_has_no_depth(self, cityscapes_official):
        (cityscapes_official.root / "disparity").rename(cityscapes_official.root / "elsewhere")
        source = open_source("cityscapes", cityscapes_official.root, "official")
        assert (source.problems, source.contents.tasks) == ((), ("segmentation",))

    def test_every_missing_file_is_named(self, cityscapes_official):
        gone = [
            cityscapes_official.root / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png",
            cityscapes_official.root / "disparity/train/ulm/ulm_000001_000019_disparity.png",
        ]
        for path in gone:
            path.unlink()
        problems = open_source("cityscapes", cityscapes_official.root, "official").problems
        assert [problem.partition(" is missing")[0] for problem in problems] == [*map(str, gone)]


class TestMTAN:
    def test_values_are_those_of_the_files_and_1_over_65535_is_missing(self, cityscapes_mtan):
        source = open_source("cityscapes", cityscapes_mtan.root, "mtan")
        disparity = source.read("train-0002", "depth")[0]
        original = cityscapes_mtan.values["depth"][2, ..., 0]
        assert disparity[0, :2].tolist() == [0, 0]
        np.testing.assert_allclose(disparity[1:], original[1:], rtol=1e-6)
        np.testing.assert_array_equal(
            source.read("train-0002", "segmentation"), cityscapes_mtan.values["label_7"][2]
        )
        assert source.contents.class_names == CITYSCAPES7_CLASSES

    def test_unit_is_stated_in_official_pixels(self, cityscapes_mtan, cityscapes_official):
        mtan = open_source("cityscapes", cityscapes_mtan.root, "mtan").contents
        official = open_source("cityscapes", cityscapes_official.root, "official").contents
        p = 5121  # (5121 - 1) / 256 = 20 pixels
        pixels = [
            value * unit["pixels_per_unit"] + unit["offset_pixels"]
            for value, unit in (
                (p / 65535, mtan.facts["disparity"]),
                ((p - 1) / 256, official.facts["disparity"]),
            )
        ]
        np.testing.assert_allclose(pixels, 20)
        assert mtan.depth_unit == official.depth_unit == "disparity"

    def test_finest_labels_of_a_folder_are_read(self, cityscapes_mtan, save):
        for folder, count in (("train", 3), ("val", 1)):
            for number in range(count):
                path = cityscapes_mtan.root / folder / f"label_19/{number}.npy"
                save(path, np.full((12, 16), 18))
        source = open_source("cityscapes", cityscapes_mtan.root, "mtan")
        assert source.contents.class_names == CITYSCAPES19_CLASSES
        assert (source.read("val-0000", "segmentation") == 18).all()
