from __future__ import annotations

import dataclasses
import json

import pytest

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import GridError, UserError
from mtljobs.plan.datasets import data_folder, dataset_info, info_path, read_info, write_info
from mtljobs.settings.data import Folder, NYUv2, Rooms

DESK = DatasetInfo(
    id="desk",
    splits={"train": ("a/1", "b"), "validation": (), "test": ("ü",)},
    class_names=("mug", "book"),
    tasks=("segmentation", "depth"),
    size=(480, 640),
    depth_unit="m",
    depth_scale=4.0,
    sha256="5" * 64,
    description={"image": {"files": "{id}-color.png"}, "ignore": [255], "camera": None},
    preview_allowed=False,
)
CHOICE = Folder(name="folder", id="desk", size=(32, 32))


def test_description_is_read_as_it_was_written(workspace):
    assert read_info(write_info(workspace, DESK)) == DESK


def test_images_of_many_sizes_have_none(workspace):
    info = dataclasses.replace(DESK, size=None, sha256=None, class_names=())
    assert read_info(write_info(workspace, info)) == info


def test_description_lies_where_plans_look_for_it(workspace):
    path = write_info(workspace, DESK)
    assert path == workspace.root / "shared/data/desk/dataset.json" == info_path(workspace, "desk")
    assert dataset_info(CHOICE, workspace) == DESK


def test_data_set_that_is_prepared_again_is_described_anew(workspace):
    write_info(workspace, DESK)
    again = dataclasses.replace(DESK, sha256="6" * 64)
    write_info(workspace, again)
    assert dataset_info(CHOICE, workspace) == again


def test_data_set_that_is_not_prepared_says_how(workspace):
    with pytest.raises(GridError, match=r"'desk' is not prepared.*mtljobs data prepare"):
        dataset_info(CHOICE, workspace)


def test_synthetic_set_needs_no_preparation(workspace):
    rooms = Rooms(name="rooms", train=3, test=2)
    info = dataset_info(rooms, workspace)
    assert info.splits == {
        "train": ("train-00000", "train-00001", "train-00002"),
        "validation": (),
        "test": ("test-00000", "test-00001"),
    }
    assert not workspace.root.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 1}', '{"splits": []}', "\x00"])
def test_file_that_describes_no_data_set_says_what_to_do(workspace, text):
    path = write_info(workspace, DESK)
    path.write_text(text)
    with pytest.raises(GridError, match=r"no description of a data set .*mtljobs data prepare"):
        dataset_info(CHOICE, workspace)


def test_description_with_an_unknown_key_is_not_ours(workspace):
    path = write_info(workspace, DESK)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "blue"}))
    with pytest.raises(GridError, match="no description"):
        dataset_info(CHOICE, workspace)


def test_published_set_is_provisional_until_it_is_prepared(workspace):
    info = dataset_info(NYUv2(name="nyuv2"), workspace)
    assert info == NYUv2(name="nyuv2").published()
    assert not workspace.root.exists()


def test_id_that_was_prepared_as_another_kind_is_refused(workspace):
    write_info(workspace, DESK)
    with pytest.raises(GridError, match="prepared as 'folder'; the grid says name = 'nyuv2'"):
        dataset_info(NYUv2(name="nyuv2", id="desk"), workspace)


def test_data_set_of_another_kind_is_never_overwritten(workspace):
    path = write_info(workspace, dataclasses.replace(DESK, description={"name": "nyuv2"}))
    with pytest.raises(UserError, match="prepared as 'nyuv2', not 'folder': choose another id"):
        write_info(workspace, DESK)
    path.write_text("{")
    assert read_info(write_info(workspace, DESK)) == DESK


def test_prepared_files_lie_in_the_workspace_and_others_where_the_grid_says(workspace, tmp_path):
    nyuv2 = NYUv2(name="nyuv2")
    assert data_folder(nyuv2, workspace, {}) == workspace.data / "nyuv2"
    assert data_folder(nyuv2, workspace, {"nyuv2": str(tmp_path)}) == tmp_path
    assert data_folder(CHOICE, workspace, {}) is None
    assert data_folder(CHOICE, workspace, {"desk": str(tmp_path)}) == tmp_path


def test_description_that_has_lost_its_sizes_is_refused_in_words(workspace):
    write_info(workspace, dataclasses.replace(NYUv2(name="nyuv2").published(), description={
        "name": "nyuv2", "classes": 40
    }))  # fmt: skip
    with pytest.raises(GridError, match="is no description of a data set"):
        dataset_info(NYUv2(name="nyuv2"), workspace)
