from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mtljobs.data.drawing import draw, show
from mtljobs.errors import UserError
from mtljobs.settings import build
from mtljobs.settings.data import Rooms


@pytest.fixture
def shown(workspace, tmp_path):
    """Draws an image and opens the picture."""

    def run(what, image, root=None):
        output = tmp_path / "shown.png"
        show(what, image, workspace=workspace, root=root, output=output)
        with Image.open(output) as picture:
            return np.asarray(picture.convert("RGB"))

    return run


def texts(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def test_classes_that_are_there_and_no_others_are_in_the_legend():
    rooms = Rooms(name="rooms", size=(32, 32), train=1, test=1)
    info = rooms.info()
    sample = build(rooms, info=info, split="train", root=None)[0]
    figure = draw(sample, info, title="a room")
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(panels) == ["image", "segmentation", "depth (m)", "normals"]
    present = np.unique(sample["segmentation"])
    assert texts(panels["segmentation"]) == [info.class_names[k] for k in present if k >= 0]


def test_normal_towards_the_camera_is_blue_and_a_missing_one_black():
    normals = np.zeros((3, 1, 2), np.float32)
    normals[:, 0, 0] = 0, 0, -1
    sample = {"image": np.zeros((3, 1, 2), np.float32), "normals": normals}
    figure = draw(sample, Rooms(name="rooms").info(), title="")
    (drawn,) = figure.axes[1].get_images()
    np.testing.assert_allclose(np.asarray(drawn.get_array())[0], [[0.5, 0.5, 1], [0, 0, 0]])


@pytest.mark.parametrize("data_set", ["nyuv2", "cityscapes"])
def test_prepared_image_is_drawn(prepared, shown, request, data_set):
    files = request.getfixturevalue(f"{data_set}_official")
    info = prepared(data_set, files.root)
    picture = shown(data_set, info.splits["test"][0])
    assert picture.std() > 20


def test_synthetic_image_is_drawn_without_files(shown):
    assert shown("rooms", "test-00003").std() > 20


def test_unknown_data_set_and_image_are_refused_with_names(shown, prepared, nyuv2_mtan):
    prepared("nyuv2", nyuv2_mtan.root)
    with pytest.raises(UserError, match=r"no data set 'nyu' .*did you mean 'nyuv2'"):
        shown("nyu", "1")
    with pytest.raises(UserError, match=r"no data set 'cityscapes' in .*valid: nyuv2, rooms"):
        shown("cityscapes", "1")
    with pytest.raises(UserError, match=r"nyuv2 has no image 'train-0009' .*did you mean"):
        shown("nyuv2", "train-0009")
