from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mtljobs.data.sources.layouts import open_source
from mtljobs.data.sources.mtan import axes_of
from mtljobs.data.sources.nyuv2_official import CAMERA
from mtljobs.errors import DataError
from mtljobs.settings.classes import NYU13_CLASSES, NYU13_OF_40, NYU40_CLASSES

META = Path(__file__).resolve().parents[4] / "shared/samples/nyuv2-meta"


@pytest.fixture
def real_tables() -> Path:
    if not META.is_dir():
        pytest.skip(f"the official tables of {META} are not here")
    return META


class TestOfficial:
    def test_arrays_of_matlab_are_turned_around(self, nyuv2_official):
        source = open_source("nyuv2", nyuv2_official.root, "official")
        assert source.problems == ()
        assert source.contents.size == (12, 16)
        for number in (1, 6):
            image = np.moveaxis(source.read(f"{number:04d}", "image"), 0, -1)
            original = nyuv2_official.values["images"][number - 1]
            np.testing.assert_allclose(image, original / 255, atol=1e-7)

    def test_split_counts_from_one_and_ids_are_the_official_numbers(self, nyuv2_official):
        contents = open_source("nyuv2", nyuv2_official.root, "official").contents
        assert contents.splits == {
            "train": ("0002", "0003", "0005", "0006"), "test": ("0001", "0004")
        }  # fmt: skip
        assert contents.scenes["0003"] == "bath_1"

    def test_894_classes_become_40_and_unlabelled_becomes_void(self, nyuv2_official):
        source = open_source("nyuv2", nyuv2_official.root, "official")
        raw = nyuv2_official.values["labels"][2].astype(int)
        # The map of the fixture sends raw class k to (k - 1) % 40 + 1, which is label (k - 1) % 40.
        expected = np.where(raw == 0, -1, (raw - 1) % 40)
        np.testing.assert_array_equal(source.read("0003", "segmentation"), expected)

    def test_depth_counts_where_the_sensor_measured(self, nyuv2_official):
        source = open_source("nyuv2", nyuv2_official.root, "official")
        depth = source.read("0004", "depth")[0]
        assert (depth[:2, :3] == 0).all()
        np.testing.assert_array_equal(depth[2:], nyuv2_official.values["depths"][3][2:])
        assert source.contents.camera == CAMERA

    def test_cut_file_is_named_with_its_size(self, nyuv2_official):
        path = nyuv2_official.root / "nyu_depth_v2_labeled.mat"
        path.write_bytes(path.read_bytes()[:20_000])
        (problem, *_) = open_source("nyuv2", nyuv2_official.root, "official").problems
        assert problem.startswith(f"{path} (20000 bytes) cannot be opened")
        assert "was cut short; download it again." in problem

    @pytest.mark.parametrize(
        ("train", "test", "found"),
        [([1, 2, 4, 5], [0, 3], "from 0 to 5"), ([2, 3, 5], [1, 4], "names 3 training"),
         ([2, 3, 5, 6], [1, 3], "from 1 to 6")],
    )  # fmt: skip
    def test_split_of_other_images_is_refused(self, nyuv2_official, train, test, found):
        path = nyuv2_official.root / "splits.mat"
        savemat(path, {"trainNdxs": np.array(train), "testNdxs": np.array(test)})
        (problem,) = open_source("nyuv2", nyuv2_official.root, "official").problems
        assert str(path) in problem
        assert found in problem
        assert "each of 1 to 6 once" in problem

    @pytest.mark.parametrize("name", ["splits.mat", "classMapping40.mat"])
    def test_missing_and_damaged_tables_are_all_named(self, nyuv2_official, name):
        (nyuv2_official.root / name).write_bytes(b"MATLAB 5.0 MAT-file, cut")
        (problem,) = open_source("nyuv2", nyuv2_official.root, "official").problems
        assert f"{nyuv2_official.root / name} cannot be read" in problem
        (nyuv2_official.root / name).unlink()
        (problem,) = open_source("nyuv2", nyuv2_official.root, "official").problems
        assert "belongs beside nyu_depth_v2_labeled.mat" in problem

    def test_raw_class_beyond_the_map_is_refused(self, nyuv2_official):
        mapped = np.ones((1, 893), np.uint8)
        savemat(nyuv2_official.root / "classMapping40.mat", {"mapClass": mapped})
        (problem,) = open_source("nyuv2", nyuv2_official.root, "official").problems
        assert "maps 893 classes; expected 894" in problem

    def test_official_tables_are_read_and_agree_with_ours(self, real_tables, nyuv2_official):
        (nyuv2_official.root / "classMapping40.mat").write_bytes(
            (real_tables / "classMapping40.mat").read_bytes()
        )
        source = open_source("nyuv2", nyuv2_official.root, "official")
        table = loadmat(real_tables / "classMapping40.mat")
        names = [str(name[0]) for name in table["className"].ravel()]
        assert tuple(name.replace("refridg", "refrig") for name in names) == NYU40_CLASSES
        labels = source.read("0001", "segmentation")
        raw = nyuv2_official.values["labels"][0]
        rows, columns = np.nonzero(raw)
        for row, column in zip(rows[:50], columns[:50], strict=True):
            expected = table["mapClass"].ravel()[raw[row, column] - 1]
            assert labels[row, column] == expected - 1

    def test_13_classes_are_those_of_the_official_map(self, real_tables):
        table = loadmat(real_tables / "class13Mapping.mat")["classMapping13"][0, 0]
        assert [label + 1 for label in NYU13_OF_40] == table["labels13"].ravel().tolist()
        names = [str(name[0]) for name in table["classNames"].ravel()]
        assert tuple(names) == NYU13_CLASSES

    def test_official_split_covers_every_image_once(self, real_tables):
        table = loadmat(real_tables / "splits.mat")
        train, test = table["trainNdxs"].ravel(), table["testNdxs"].ravel()
        assert (len(train), len(test)) == (795, 654)
        assert sorted([*train, *test]) == list(range(1, 1450))


class TestAdaShare:
    def test_files_that_count_from_0_get_the_official_numbers(self, nyuv2_adashare):
        contents = open_source("nyuv2", nyuv2_adashare.root, "adashare").contents
        assert contents.splits == {"train": ("0002", "0003", "0004"), "test": ("0001",)}

    def test_normals_are_decoded_into_our_axes(self, nyuv2_adashare):
        # 8 bits (127, 0, 127) are (0, -127 / 127.5, 0): towards us, which is z = -1.
        normals = open_source("nyuv2", nyuv2_adashare.root, "adashare").read("0002", "normals")
        np.testing.assert_allclose(normals[:, 5, 5], [0, 0, -1], atol=1e-6)

    @pytest.mark.parametrize(
        ("colour", "expected"),
        [((254, 127, 127), (1, 0, 0)), ((127, 254, 127), (0, 0, 1)), ((127, 127, 254), (0, -1, 0)),
         ((255, 255, 255), (0, 0, 0)), ((127, 127, 127), (0, 0, 0))],
    )  # fmt: skip
    def test_each_channel_points_where_it_should(self, nyuv2_adashare, save, colour, expected):
        path = nyuv2_adashare.root / "nyu_train_val/training/normal_mask/0001.png"
        save(path, np.full((12, 16, 3), colour, np.uint8))
        normals = open_source("nyuv2", nyuv2_adashare.root, "adashare").read("0002", "normals")
        np.testing.assert_allclose(normals[:, 3, 3], expected, atol=1e-6)

    def test_pixels_without_a_normal_are_zero(self, nyuv2_adashare):
        normals = open_source("nyuv2", nyuv2_adashare.root, "adashare").read("0002", "normals")
        assert (normals[:, :4] == 0).all()
        assert normals[:, 4:].any(axis=0).all()

    def test_255_is_void(self, nyuv2_adashare):
        source = open_source("nyuv2", nyuv2_adashare.root, "adashare")
        original = nyuv2_adashare.values["seg"][2].astype(int)
        expected = np.where(original == 255, -1, original)
        np.testing.assert_array_equal(source.read("0003", "segmentation"), expected)

    def test_part_for_validation_is_taken_from_the_list(self, nyuv2_adashare):
        path = nyuv2_adashare.root / "nyu_v2_3task.json"
        lists = json.loads(path.read_text())
        lists["val"] = [lists["train"].pop()]
        path.write_text(json.dumps(lists))
        splits = open_source("nyuv2", nyuv2_adashare.root, "adashare").contents.splits
        assert splits == {"train": ("0002", "0003"), "validation": ("0004",), "test": ("0001",)}

    def test_image_in_two_splits_and_missing_files_are_all_named(self, nyuv2_adashare):
        path = nyuv2_adashare.root / "nyu_v2_3task.json"
        lists = json.loads(path.read_text())
        lists["test"].append(lists["train"][0])
        path.write_text(json.dumps(lists))
        missing = nyuv2_adashare.root / lists["train"][1][2]
        missing.unlink()
        problems = open_source("nyuv2", nyuv2_adashare.root, "adashare").problems
        assert len(problems) == 2
        assert f"{missing} is missing" in problems[0]
        assert "0001.png' twice; an image has one split" in problems[1]

    @pytest.mark.parametrize("text", ["", "[]", '{"train": []}', '{"train": [["a"]], "test": []}'])
    def test_list_of_something_else_is_refused(self, nyuv2_adashare, text):
        (nyuv2_adashare.root / "nyu_v2_3task.json").write_text(text)
        with pytest.raises(
            DataError, match=r"nyu_v2_3task\.json .*expected \"train\" and \"test\""
        ):
            open_source("nyuv2", nyuv2_adashare.root, "adashare")


class TestMTAN:
    def test_fields_are_read_as_they_are(self, nyuv2_mtan):
        source = open_source("nyuv2", nyuv2_mtan.root, "mtan")
        assert source.problems == ()
        assert source.contents.splits["test"] == ("val-0000", "val-0001")
        assert source.contents.class_names == NYU13_CLASSES
        values = {name: arrays[5] for name, arrays in nyuv2_mtan.values.items()}
        image = np.moveaxis(source.read("val-0001", "image"), 0, -1)
        np.testing.assert_allclose(image, values["image"], atol=1e-7)
        np.testing.assert_array_equal(source.read("val-0001", "segmentation"), values["label"])
        np.testing.assert_array_equal(source.read("val-0001", "depth")[0], values["depth"][..., 0])

    def test_axes_of_normals_are_told_by_what_looks_back(self, nyuv2_mtan):
        source = open_source("nyuv2", nyuv2_mtan.root, "mtan")
        normals = source.read("train-0000", "normals")
        labels = source.read("train-0000", "segmentation")
        assert (normals[:, 0] == 0).all()
        floor = labels[1:] == 4
        assert 0 < floor.sum() < floor.size
        assert (normals[:, 1:][:, ~floor].T == [0, 0, -1]).all()
        assert (normals[:, 1:][:, floor].T == [0, -1, 0]).all()
        assert source.contents.facts["normals"] == {"axes": ("right", "away", "up")}

    @pytest.mark.parametrize(
        ("up", "axes"), [(1.0, ("right", "up", "away")), (-1.0, ("right", "down", "away"))]
    )
    def test_floor_tells_up_from_down(self, up, axes):
        vectors = np.array([[0, 0, -1.0]] * 9 + [[0, up, 0]])
        assert axes_of(vectors, np.arange(10) == 9, where=Path("folder")) == axes

    def test_normals_that_do_not_look_back_are_refused(self):
        vectors = np.array([[0.9, 0.1, 0.4]] * 4)
        with pytest.raises(DataError, match=r"are 0\.90, 0\.10, 0\.40, .* clearly negative"):
            axes_of(vectors, np.zeros(4, bool), where=Path("folder"))

    def test_files_that_do_not_match_the_images_are_named(self, nyuv2_mtan):
        (nyuv2_mtan.root / "train/depth/2.npy").unlink()
        (nyuv2_mtan.root / "val/image/0.npy").unlink()
        problems = " ".join(open_source("nyuv2", nyuv2_mtan.root, "mtan").problems)
        assert f"{nyuv2_mtan.root}/train/depth lacks 1 of the files (2.npy)" in problems
        assert f"{nyuv2_mtan.root}/val/label has no image for 1 of the files (0.npy)" in problems
