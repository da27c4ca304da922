from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mtljobs.data import exclusive, preparing, writing
from mtljobs.data.parts import Part
from mtljobs.data.sources.layouts import open_source
from mtljobs.errors import DataError, GridError, UserError
from mtljobs.ledger.claims import acquire
from mtljobs.plan.datasets import data_folder, dataset_info
from mtljobs.settings import build
from mtljobs.settings.classes import CITYSCAPES7_OF_19, NYU13_CLASSES, NYU13_OF_40
from mtljobs.settings.data import Cityscapes, NYUv2

NATIVE = (12, 16)


def opened(choice, workspace, split="train"):
    info = dataset_info(choice, workspace)
    return build(choice, info=info, split=split, root=data_folder(choice, workspace, {}))


def nyuv2(**fields):
    return NYUv2(name="nyuv2", **{"size": NATIVE, "classes": 40, **fields})


def files_of(workspace, *, but=("parts.json",)):
    """Every file of the prepared data sets and its content."""
    return {
        str(path.relative_to(workspace.data)): path.read_bytes()
        for path in sorted(workspace.data.rglob("*"))
        if path.is_file() and path.name not in but
    }


def end_at_once(*_):
    """What the kernel does to a process when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(preparing, "PART_IMAGES", 2)


class TestSamples:
    def test_what_is_read_is_what_the_files_hold(self, prepared, workspace, nyuv2_adashare):
        prepared("nyuv2", nyuv2_adashare.root)
        source = open_source("nyuv2", nyuv2_adashare.root, "adashare")
        sample = opened(nyuv2(), workspace)[1]
        kinds = {name: (values.shape, values.dtype.type) for name, values in sample.items()}
        assert kinds == {
            "image": ((3, 12, 16), np.float32), "segmentation": ((12, 16), np.int64),
            "normals": ((3, 12, 16), np.float32), "depth": ((1, 12, 16), np.float32),
        }  # fmt: skip
        np.testing.assert_allclose(sample["image"], source.read("0003", "image"), atol=1e-6)
        np.testing.assert_array_equal(sample["segmentation"], source.read("0003", "segmentation"))
        np.testing.assert_array_equal(sample["depth"], source.read("0003", "depth"))
        np.testing.assert_allclose(sample["normals"], source.read("0003", "normals"), atol=2e-5)

    def test_40_classes_become_13_and_void_stays_void(self, prepared, workspace, nyuv2_official):
        prepared("nyuv2", nyuv2_official.root)
        fine = opened(nyuv2(), workspace)[0]["segmentation"]
        coarse = opened(nyuv2(classes=13), workspace)[0]["segmentation"]
        assert (fine == -1).any()
        np.testing.assert_array_equal(coarse, np.where(fine < 0, -1, np.array(NYU13_OF_40)[fine]))
        assert dataset_info(nyuv2(classes=13), workspace).class_names == NYU13_CLASSES

    def test_19_classes_become_7(self, prepared, workspace, cityscapes_official):
        prepared("cityscapes", cityscapes_official.root)
        fine, coarse = (
            opened(Cityscapes(name="cityscapes", size=NATIVE, classes=count), workspace)[0]
            for count in (19, 7)
        )
        labels = fine["segmentation"]
        expected = np.where(labels < 0, -1, np.array(CITYSCAPES7_OF_19)[labels])
        np.testing.assert_array_equal(coarse["segmentation"], expected)

    def test_normals_come_from_the_depth_that_was_measured(
        self, prepared, workspace, nyuv2_official
    ):
        info = prepared("nyuv2", nyuv2_official.root)
        assert info.tasks == ("segmentation", "depth", "normals")
        normals = opened(nyuv2(), workspace, "test")[0]["normals"]
        assert (normals[:, :2, :3] == 0).all()
        seen = normals[:, 4:, 4:].reshape(3, -1)
        np.testing.assert_allclose(np.linalg.norm(seen, axis=0), 1, atol=1e-4)
        assert (seen[2] < 0).all()

    def test_targets_are_picked_and_images_averaged_at_another_size(
        self, prepared, workspace, nyuv2_adashare
    ):
        prepared("nyuv2", nyuv2_adashare.root, sizes=[(6, 8)])
        sample = opened(nyuv2(size=(6, 8)), workspace)[0]
        # The middle of pixel k of 6 is row 2 k + 1 of 12.
        expected = nyuv2_adashare.values["depth"][1][1::2, 1::2]
        np.testing.assert_array_equal(sample["depth"][0], expected)
        assert sample["image"].std() < 0.75 * (nyuv2_adashare.values["img"][1] / 255).std()

    @pytest.mark.parametrize("size", [(13, 16), (12, 17), (99_999, 99_999)])
    def test_size_larger_than_the_images_is_refused(self, prepared, workspace, nyuv2_mtan, size):
        with pytest.raises(UserError, match=r"larger than the images, which have 12x16"):
            prepared("nyuv2", nyuv2_mtan.root, sizes=[size])
        assert list(workspace.data.glob("*")) == []

    def test_set_survives_the_way_to_a_loader_process(self, prepared, workspace, nyuv2_mtan):
        prepared("nyuv2", nyuv2_mtan.root)
        dataset = opened(nyuv2(classes=13), workspace)
        before = dataset[0]
        again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 (our own)
        np.testing.assert_array_equal(again[0]["normals"], before["normals"])


class TestInfo:
    def test_description_says_what_a_plan_must_know(self, prepared, workspace, nyuv2_official):
        info = prepared("nyuv2", nyuv2_official.root, validation=0.5)
        assert info.splits["test"] == ("0001", "0004")
        assert info.splits["validation"] in {("0002", "0003"), ("0005", "0006")}
        assert sorted(info.splits["train"] + info.splits["validation"]) == [
            "0002", "0003", "0005", "0006"
        ]  # fmt: skip
        assert (info.depth_unit, info.depth_scale, info.size) == ("m", 10.0, NATIVE)
        assert not info.preview_allowed
        assert (workspace.data / "nyuv2/dataset.json").is_file()

    def test_scale_of_disparity_is_the_largest_of_training(
        self, prepared, cityscapes_mtan, cityscapes_official
    ):
        info = prepared("cityscapes", cityscapes_mtan.root)
        expected = cityscapes_mtan.values["depth"][:3].max()
        assert info.depth_scale == pytest.approx(expected, rel=1e-6)
        assert info.description["disparity"]["pixels_per_unit"] == 65535 / 256
        info = prepared("cityscapes", cityscapes_official.root, dataset_id="full")
        assert info.depth_scale == (cityscapes_official.values["p"][:6].max() - 1) / 256

    def test_another_size_is_added_without_changing_the_first(
        self, prepared, workspace, nyuv2_mtan
    ):
        prepared("nyuv2", nyuv2_mtan.root)
        before = dataset_info(nyuv2(classes=13), workspace).sha256
        info = prepared("nyuv2", nyuv2_mtan.root, sizes=[(6, 8)])
        assert list(info.description["sizes"]) == ["6x8", "12x16"]
        assert dataset_info(nyuv2(classes=13), workspace).sha256 == before
        assert dataset_info(nyuv2(classes=13, size=(6, 8)), workspace).sha256 != before

    def test_another_validation_part_rewrites_nothing_but_is_another_set(
        self, prepared, workspace, nyuv2_official
    ):
        one = prepared("nyuv2", nyuv2_official.root)
        files = {name for name in files_of(workspace) if name.endswith(".part")}
        other = prepared("nyuv2", nyuv2_official.root, validation=0.5)
        assert {name for name in files_of(workspace) if name.endswith(".part")} == files
        assert one.sha256 != other.sha256

    def test_validation_stays_as_it_was_unless_it_is_said_anew(
        self, prepared, workspace, nyuv2_official
    ):
        first = prepared("nyuv2", nyuv2_official.root, validation=0.5)
        before = dataset_info(nyuv2(), workspace).sha256
        again = prepared("nyuv2", nyuv2_official.root, validation=None, sizes=[(6, 8)])
        assert first.splits == again.splits
        assert dataset_info(nyuv2(), workspace).sha256 == before

    def test_every_value_counts_for_the_hash(self, prepared, nyuv2_mtan, save):
        before = prepared("nyuv2", nyuv2_mtan.root).sha256
        assert prepared("nyuv2", nyuv2_mtan.root).sha256 == before
        depth = nyuv2_mtan.values["depth"][0].copy()
        depth[3, 3] += 1e-6
        save(nyuv2_mtan.root / "train/depth/0.npy", depth)
        assert prepared("nyuv2", nyuv2_mtan.root).sha256 != before

    def test_size_that_is_not_prepared_names_those_that_are(self, prepared, workspace, nyuv2_mtan):
        prepared("nyuv2", nyuv2_mtan.root, sizes=[(6, 8), NATIVE])
        with pytest.raises(GridError, match=r"at 12x16, 6x8 .*asks for 32x32: .* --size 32x32`"):
            dataset_info(nyuv2(classes=13, size=(32, 32)), workspace)

    def test_classes_that_the_files_lack_are_refused(self, prepared, workspace, nyuv2_mtan):
        prepared("nyuv2", nyuv2_mtan.root)
        with pytest.raises(GridError, match="know 13 classes, the grid asks for 40"):
            dataset_info(nyuv2(), workspace)

    def test_id_of_another_data_set_is_refused(
        self, prepared, workspace, nyuv2_mtan, cityscapes_mtan
    ):
        prepared("nyuv2", nyuv2_mtan.root, dataset_id="mine")
        with pytest.raises(UserError, match="prepared as 'nyuv2', not 'cityscapes'"):
            prepared("cityscapes", cityscapes_mtan.root, dataset_id="mine")
        with pytest.raises(
            GridError, match="prepared as 'nyuv2'; the grid says name = 'cityscapes'"
        ):
            dataset_info(Cityscapes(name="cityscapes", id="mine"), workspace)

    @pytest.mark.parametrize("name", ["", "..", "a/b", "nyu v2"])
    def test_id_that_is_no_folder_name_is_refused(self, prepared, nyuv2_mtan, name):
        with pytest.raises(UserError, match="cannot name a data set"):
            prepared("nyuv2", nyuv2_mtan.root, dataset_id=name)


class TestResuming:
    def test_prepared_again_writes_nothing(self, prepared, workspace, nyuv2_mtan, small_parts):
        prepared("nyuv2", nyuv2_mtan.root)
        times = {path: path.stat().st_mtime_ns for path in workspace.data.rglob("*.part")}
        assert len(times) == 3
        prepared("nyuv2", nyuv2_mtan.root)
        assert {path: path.stat().st_mtime_ns for path in workspace.data.rglob("*.part")} == times

    def test_stopped_between_parts_it_goes_on_and_ends_with_the_same_bytes(
        self, prepared, workspace, nyuv2_mtan, small_parts, monkeypatch
    ):
        prepared("nyuv2", nyuv2_mtan.root)
        whole = files_of(workspace)
        shutil.rmtree(workspace.data)
        written = []

        def write(job, aside, *, limit):
            if len(written) >= limit:
                raise KeyboardInterrupt
            written.append(job.number)
            return real(job, aside)

        real = writing.write_job
        monkeypatch.setattr(writing, "write_job", lambda *a: write(*a, limit=2))
        with pytest.raises(KeyboardInterrupt):
            prepared("nyuv2", nyuv2_mtan.root)
        assert not (workspace.data / "nyuv2/dataset.json").exists()
        assert set(files_of(workspace)) < set(whole)  # whole parts, and nothing else
        monkeypatch.setattr(writing, "write_job", lambda *a: write(*a, limit=3))
        prepared("nyuv2", nyuv2_mtan.root)
        assert len(written) == 3
        assert files_of(workspace) == whole

    def test_killed_at_any_moment_it_ends_with_the_same_bytes(
        self, prepared, workspace, nyuv2_official
    ):
        prepared("nyuv2", nyuv2_official.root, sizes=[NATIVE, (6, 8)])
        whole = files_of(workspace)
        shutil.rmtree(workspace.data)
        command = [
            sys.executable, "-m", "mtljobs", "data", "prepare", "nyuv2", "-w", workspace.root,
            "--root", nyuv2_official.root, "--validation", "0", "--jobs", "1",
            "--size", "12x16", "--size", "6x8",
        ]  # fmt: skip
        with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
            while not list(workspace.data.rglob("*.part")) and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        prepared("nyuv2", nyuv2_official.root, sizes=[NATIVE, (6, 8)])
        assert files_of(workspace) == whole

    def test_processes_do_not_change_a_byte(self, prepared, workspace, nyuv2_mtan, small_parts):
        prepared("nyuv2", nyuv2_mtan.root)
        one = files_of(workspace)
        shutil.rmtree(workspace.data)
        prepared("nyuv2", nyuv2_mtan.root, jobs=2)
        assert files_of(workspace) == one

    def test_killed_process_is_told_in_words_and_leaves_nothing(
        self, prepared, workspace, nyuv2_mtan, small_parts, monkeypatch
    ):
        monkeypatch.setattr(writing, "write_job", end_at_once)
        with pytest.raises(UserError, match="fewer --jobs"):
            prepared("nyuv2", nyuv2_mtan.root, jobs=2)
        assert files_of(workspace) == {}

    def test_damaged_part_is_made_again(self, prepared, workspace, nyuv2_mtan):
        prepared("nyuv2", nyuv2_mtan.root)
        whole = files_of(workspace)
        part = next(workspace.data.rglob("train*.part"))
        part.write_bytes(part.read_bytes()[:-100])
        prepared("nyuv2", nyuv2_mtan.root)
        assert files_of(workspace) == whole

    def test_parts_of_files_that_changed_are_replaced_and_removed(
        self, prepared, workspace, nyuv2_mtan, save, small_parts
    ):
        prepared("nyuv2", nyuv2_mtan.root)
        before = set(files_of(workspace))
        save(nyuv2_mtan.root / "train/depth/3.npy", np.ones((12, 16, 1)))
        prepared("nyuv2", nyuv2_mtan.root)
        after = set(files_of(workspace))
        assert len(before - after) == len(after - before) == 1
        assert len(after) == len(before)

    def test_second_one_at_a_time_is_kept_out(self, prepared, workspace, nyuv2_mtan):
        claim = acquire(workspace.data / "nyuv2/claims")
        with pytest.raises(UserError, match="another process is preparing"):
            prepared("nyuv2", nyuv2_mtan.root)
        claim.release()
        prepared("nyuv2", nyuv2_mtan.root)
        assert not (workspace.data / "nyuv2/claims").exists()

    def test_it_gives_signs_of_life_while_a_part_is_written(
        self, prepared, workspace, nyuv2_mtan, monkeypatch
    ):
        monkeypatch.setattr(exclusive, "RENEW_S", 0.01)

        def wait_for_sign(*_):
            claim = workspace.data / "nyuv2/claims/1.json"
            os.utime(claim, (0, 0))
            deadline = time.monotonic() + 10
            while claim.stat().st_mtime == 0:
                assert time.monotonic() < deadline
                time.sleep(0.01)

        prepared("nyuv2", nyuv2_mtan.root, progress=wait_for_sign)

    def test_claim_of_a_successor_stays(self, prepared, workspace, nyuv2_mtan):
        successor = workspace.data / "nyuv2/claims/2.json"
        prepared("nyuv2", nyuv2_mtan.root, progress=lambda *_: successor.write_text("{}"))
        assert successor.exists()

    def test_size_that_another_one_has_just_added_is_kept(
        self, prepared, workspace, nyuv2_mtan, monkeypatch
    ):
        def add_size_first(folder):
            monkeypatch.setattr(exclusive, "acquire", acquire)
            prepared("nyuv2", nyuv2_mtan.root, sizes=[(6, 8)])
            return acquire(folder)

        monkeypatch.setattr(exclusive, "acquire", add_size_first)
        info = prepared("nyuv2", nyuv2_mtan.root, sizes=[NATIVE])
        assert info.description["sizes"].keys() == {"6x8", "12x16"}


class TestDamage:
    @pytest.fixture
    def dataset(self, prepared, workspace, nyuv2_mtan):
        prepared("nyuv2", nyuv2_mtan.root)
        return opened(nyuv2(classes=13), workspace)

    @pytest.fixture
    def part(self, workspace):
        return lambda: next(workspace.data.rglob("train*.part"))

    def test_missing_part_is_named(self, dataset, part):
        path = part()
        path.unlink()
        with pytest.raises(DataError, match="No such file") as caught:
            dataset[0]
        assert str(path) in str(caught.value)
        assert "mtljobs data prepare" in str(caught.value)

    def test_cut_part_is_named(self, dataset, part):
        path = part()
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DataError, match=f"{path} cannot be read: it ends in the middle"):
            dataset[0]

    def test_changed_byte_is_found_in_its_image_alone(self, dataset, part):
        path = part()
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match="bytes of image 'train-0000' have changed"):
            dataset[0]
        assert dataset[1]["image"].shape == (3, 12, 16)

    def test_part_of_another_preparation_is_refused(self, dataset, part, workspace):
        path = part()
        path.write_bytes(next(workspace.data.rglob("test*.part")).read_bytes())
        with pytest.raises(DataError, match=r"it is not the file that dataset\.json names"):
            dataset[0]

    def test_part_is_whole_until_a_byte_changes(self, prepared, workspace, nyuv2_mtan, part):
        info = prepared("nyuv2", nyuv2_mtan.root)
        sha256 = info.description["sizes"]["12x16"]["parts"][0]["sha256"]
        path = part()
        assert Part(path, sha256).is_whole()
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
        assert not Part(path, sha256).is_whole()


class TestBadFolders:
    def test_file_that_is_wrong_leaves_nothing_half_written(
        self, prepared, workspace, nyuv2_mtan, save
    ):
        save(nyuv2_mtan.root / "train/label/2.npy", np.full((12, 16), 13))
        with pytest.raises(DataError, match=r"label/2\.npy holds the label 13; .* 0 to 12, and -1"):
            prepared("nyuv2", nyuv2_mtan.root)
        assert files_of(workspace) == {}
        assert not (workspace.data / "nyuv2").exists()

    def test_image_of_another_size_is_refused(self, prepared, nyuv2_mtan, save):
        save(nyuv2_mtan.root / "train/depth/1.npy", np.ones((6, 8, 1)))
        with pytest.raises(DataError, match="depth of image 'train-0001' has 6 x 8 pixels"):
            prepared("nyuv2", nyuv2_mtan.root)

    def test_folder_of_something_else_says_what_belongs_there(self, prepared, tmp_path):
        (tmp_path / "other" / "photos").mkdir(parents=True)
        with pytest.raises(DataError, match=r"holds photos; expected nyu_depth_v2_labeled\.mat"):
            prepared("nyuv2", tmp_path / "other")
        with pytest.raises(DataError, match="is no folder"):
            prepared("nyuv2", tmp_path / "nowhere")

    def test_two_layouts_in_a_folder_need_a_word(self, prepared, nyuv2_mtan):
        (nyuv2_mtan.root / "nyu_v2_3task.json").write_text("{}")
        with pytest.raises(DataError, match=r"mtan and adashare of nyuv2: .* --layout"):
            prepared("nyuv2", nyuv2_mtan.root)
        assert prepared("nyuv2", nyuv2_mtan.root, layout="mtan").description["layout"] == "mtan"
        with pytest.raises(DataError, match=r"no layout 'mtam' \(did you mean 'mtan'"):
            prepared("nyuv2", nyuv2_mtan.root, layout="mtam")

    def test_folder_without_normals_has_two_tasks(self, prepared, nyuv2_mtan):
        for folder in ("train", "val"):
            shutil.rmtree(nyuv2_mtan.root / folder / "normal")
        assert prepared("nyuv2", nyuv2_mtan.root).tasks == ("segmentation", "depth")

    def test_folder_without_labels_has_two_tasks(self, prepared, nyuv2_mtan):
        for folder in ("train", "val"):
            shutil.rmtree(nyuv2_mtan.root / folder / "label")
        assert prepared("nyuv2", nyuv2_mtan.root).tasks == ("depth", "normals")

    def test_description_is_plain_json(self, prepared, workspace, cityscapes_official):
        prepared("cityscapes", cityscapes_official.root)
        text = (workspace.data / "cityscapes/dataset.json").read_text()
        assert str(cityscapes_official.root) not in text
        assert json.loads(text)["description"]["name"] == "cityscapes"
