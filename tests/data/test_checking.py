from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from mtljobs.data.checking import check

COUNTS = 2
"""Problems of every small set: its two splits have fewer images than the published ones."""


@pytest.fixture
def problems():
    return lambda what, root: list(check(what, root, layout=None, progress=lambda *_: None))


@pytest.mark.parametrize(
    ("what", "files"),
    [("nyuv2", "nyuv2_official"), ("nyuv2", "nyuv2_adashare"), ("nyuv2", "nyuv2_mtan"),
     ("cityscapes", "cityscapes_official"), ("cityscapes", "cityscapes_mtan")],
)  # fmt: skip
def test_folder_that_is_as_it_should_be_lacks_nothing_but_images(problems, request, what, files):
    found = problems(what, request.getfixturevalue(files).root)
    assert len(found) == COUNTS
    assert all("the published set has" in problem for problem in found)


def test_every_bad_file_is_named_not_only_the_first(problems, nyuv2_mtan, save):
    root = nyuv2_mtan.root
    save(root / "train/label/0.npy", np.full((12, 16), 13.0))
    save(root / "train/depth/0.npy", np.full((12, 16, 1), -1.0))
    save(root / "train/image/2.npy", np.full((12, 16, 3), 255.0))
    save(root / "val/label/1.npy", np.zeros((6, 8)))
    path = root / "val/normal/0.npy"
    path.write_bytes(path.read_bytes()[:60])
    found = problems("nyuv2", root)[COUNTS:]
    assert [problem.partition(" h")[0] for problem in found[:3]] == [
        str(root / "train/label/0.npy"),
        str(root / "train/depth/0.npy"),
        str(root / "train/image/2.npy"),
    ]
    assert f"{path} (60 bytes) cannot be read" in found[3]
    assert "segmentation of image 'val-0001' has 6 x 8 pixels" in found[4]
    assert len(found) == 5


def test_missing_normals_are_said_with_what_follows(problems, nyuv2_mtan):
    for folder in ("train", "val"):
        shutil.rmtree(nyuv2_mtan.root / folder / "normal")
    found = problems("nyuv2", nyuv2_mtan.root)
    assert found[0].startswith("there are no normals in this folder")
    assert "an experiment that asks for normals is refused" in found[0]


def test_damage_inside_a_mat_is_said_of_its_image(problems, nyuv2_official):
    with h5py.File(nyuv2_official.root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][2, 0, 0] = 895
        file["depths"][4, 0, 0] = np.nan
    found = problems("nyuv2", nyuv2_official.root)[COUNTS:]
    assert len(found) == 2
    assert "image 0003, holds the label 895" in found[0]
    assert "image 0005, holds 1 values that are NaN or infinite" in found[1]


def test_folder_that_is_nothing_of_the_kind_is_one_problem(problems, tmp_path):
    (found,) = problems("cityscapes", tmp_path)
    assert "expected leftImg8bit, gtFine and disparity" in found


def test_described_folder_is_checked_the_same_way(problems, tmp_path, save):
    toml = tmp_path / "desk.toml"
    toml.write_text(
        'id = "desk"\n[image]\nfiles = "{id}-color.png"\n'
        '[segmentation]\nfiles = "{id}-label.png"\nclasses = ["a", "b"]\n[split]\ntest = ["x"]\n'
    )
    for name in ("1", "2"):
        save(tmp_path / f"images/{name}-color.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "images/1-label.png", np.full((4, 4), 2, np.uint8))
    found = problems(str(toml), tmp_path / "images")
    assert len(found) == 3
    assert "no image id matches 'x'" in found[0]
    assert "1-label.png holds the label 2" in found[1]
    assert "2-label.png cannot be read" in found[2]
