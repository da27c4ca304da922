from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtljobs.contracts import DatasetInfo, Sample
from mtljobs.data.folder import Folder, prepare
from mtljobs.errors import DataError
from mtljobs.ledger.paths import Workspace
from mtljobs.plan.datasets import read_info, write_info
from mtljobs.settings import build
from mtljobs.settings import data as settings

FRAMES = Path(__file__).resolve().parents[3] / "shared/samples/ycb-video"


IDS = ("a/1", "a/2", "b/1", "b/2", "b/3")
SIZE = (6, 8)

TOML = """
id = "desk"

[image]
files = "{id}-color.png"

[segmentation]
files = "{id}-label.png"
classes = ["table", "mug", "book"]
ignore = [255]

[depth]
files = "{id}-depth.png"
scale = 0.001
max = 4.0

[camera]
fx = 10.0
fy = 10.0
cx = 3.5
cy = 2.5

[normals]
reach = 1

[split]
test = ["a/*"]
"""


@dataclass
class Place:
    """A description and the folder that it describes."""

    description: Path
    root: Path

    def write(self, name: str, values: np.ndarray) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, values)
        else:
            Image.fromarray(values).save(path)
        return path

    def describe(self, change: Callable[[str], str]) -> None:
        self.description.write_text(change(self.description.read_text()))


@pytest.fixture
def desk(tmp_path: Path) -> Place:
    """Five frames: image number k has the grey value 10 k, label k % 3 and a depth of k metres."""
    place = Place(tmp_path / "anywhere" / "desk.toml", tmp_path / "images")
    place.description.parent.mkdir()
    place.description.write_text(TOML)
    for number, name in enumerate(IDS, start=1):
        place.write(f"{name}-color.png", np.full((*SIZE, 3), 10 * number, np.uint8))
        place.write(f"{name}-label.png", np.full(SIZE, number % 3, np.uint8))
        place.write(f"{name}-depth.png", np.full(SIZE, 1000 * number, np.uint16))
    return place


def opened(
    info: DatasetInfo, root: Path | None, *, split: str = "train", size: tuple[int, int] = SIZE
) -> Folder:
    choice = settings.Folder(name="folder", id=info.id, size=size)
    built: Folder = build(choice, info=info, split=split, root=root)
    return built


def first(place: Place, *, size: tuple[int, int] = SIZE) -> Sample:
    """The first sample of the training split: b/1, which is frame 3."""
    return opened(prepare(place.description, place.root), place.root, size=size)[0]


def test_prepared_folder_says_what_a_plan_must_know(desk: Place) -> None:
    reported: list[tuple[int, int, str]] = []
    info = prepare(desk.description, desk.root, progress=lambda *report: reported.append(report))
    assert info.id == "desk"
    assert info.splits == {"train": ("b/1", "b/2", "b/3"), "validation": (), "test": ("a/1", "a/2")}
    assert info.class_names == ("table", "mug", "book")
    assert info.tasks == ("segmentation", "depth", "normals")
    assert (info.size, info.depth_unit, info.depth_scale) == (SIZE, "m", 4.0)
    assert info.preview_allowed
    assert reported == [(number, 5, name) for number, name in enumerate(IDS, start=1)]


def test_samples_hold_the_files_in_our_conventions(desk: Place) -> None:
    sample = first(desk)
    shapes = {name: (values.shape, values.dtype.type) for name, values in sample.items()}
    assert shapes == {
        "image": ((3, 6, 8), np.float32), "segmentation": ((6, 8), np.int64),
        "depth": ((1, 6, 8), np.float32), "normals": ((3, 6, 8), np.float32),
    }  # fmt: skip
    assert (sample["image"] == np.float32(30 / 255)).all()
    assert (sample["segmentation"] == 0).all()
    assert (sample["depth"] == 3.0).all()
    np.testing.assert_allclose(sample["normals"][2], -1)


def test_dataset_json_alone_rebuilds_the_set(desk: Place, tmp_path: Path) -> None:
    info = prepare(desk.description, desk.root)
    path = write_info(Workspace(tmp_path / "runs"), info)
    desk.description.unlink()
    assert read_info(path) == dataclasses.replace(info, description=read_info(path).description)
    again = opened(read_info(path), desk.root, split="test")
    assert len(again) == 2
    for name, values in opened(info, desk.root, split="test")[1].items():
        np.testing.assert_array_equal(again[1][name], values)


def test_identity_covers_every_file_and_the_description(desk: Place) -> None:
    def identity() -> str | None:
        return prepare(desk.description, desk.root).sha256

    before = identity()
    assert identity() == before
    desk.write("b/2-depth.png", np.full(SIZE, 4001, np.uint16))
    changed = identity()
    desk.describe(lambda text: text.replace("max = 4.0", "max = 5.0"))
    assert len({before, changed, identity()}) == 3


def test_targets_are_never_mixed_across_edges(desk: Place) -> None:
    desk.write("b/1-label.png", np.array([[0] * 4 + [2] * 4] * 6, np.uint8))
    desk.write("b/1-depth.png", np.array([[1000] * 4 + [3000] * 4] * 6, np.uint16))
    sample = first(desk, size=(3, 3))
    # The middles of three pixels over eight: 1.33, 4, 6.67.
    assert sample["segmentation"].tolist() == [[0, 2, 2]] * 3
    assert sample["depth"][0].tolist() == [[1.0, 3.0, 3.0]] * 3


def test_image_is_averaged_when_it_shrinks(desk: Place) -> None:
    stripes = np.zeros((*SIZE, 3), np.uint8)
    stripes[:, ::2] = 200
    desk.write("b/1-color.png", stripes)
    middle = first(desk, size=(3, 2))["image"][0, 1]
    np.testing.assert_allclose(middle, 100 / 255, atol=0.05)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("b/1-label.png", np.full(SIZE, 7, np.uint8), "label 7; the 3 classes .* values 0 to 2"),
        ("b/1-label.png", np.zeros((*SIZE, 3), np.uint8), "one value per pixel"),
        ("b/1-label.png", np.zeros((6, 7), np.uint8), r"has 6 x 7 pixels .* 6 x 8; they must"),
        ("b/1-depth.png", np.zeros((8, 6), np.uint16), r"has 8 x 6 pixels .* 6 x 8; they must"),
        ("b/1-color.png", np.zeros((7, 8, 3), np.uint8), r"has 6 x 8 pixels .* 7 x 8; they must"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_bad_values_are_refused_by_name_before_and_after_preparing(
    desk: Place, name: str, values: np.ndarray, message: str, when: str
) -> None:
    if when == "before":
        desk.write(name, values)
        with pytest.raises(DataError, match=message) as caught:
            prepare(desk.description, desk.root)
    else:
        dataset = opened(prepare(desk.description, desk.root), desk.root)
        desk.write(name, values)
        with pytest.raises(DataError, match=message) as caught:
            dataset[0]
    assert "b/1-" in str(caught.value)


@pytest.mark.parametrize("field", ["color", "label", "depth"])
def test_cut_file_is_refused_by_name(desk: Place, field: str) -> None:
    dataset = opened(prepare(desk.description, desk.root), desk.root)
    path = desk.root / f"b/2-{field}.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=rf"b/2-{field}\.png \(40 bytes\) cannot be read"):
        dataset[1]
    assert (dataset[2]["depth"] == 5.0).all()  # the others are still there


def test_missing_file_is_named_with_the_pattern_that_promises_it(desk: Place) -> None:
    (desk.root / "b/2-label.png").unlink()
    with pytest.raises(
        DataError, match=r"b/2-label\.png cannot be read .*\{id\}-label\.png.* 'b/2'"
    ):
        prepare(desk.description, desk.root)


def test_file_that_changed_since_it_was_prepared_is_refused(desk: Place) -> None:
    dataset = opened(prepare(desk.description, desk.root), desk.root)
    desk.write("b/1-depth.png", np.full(SIZE, 1234, np.uint16))
    with pytest.raises(DataError, match=r"'b/1' .*b/1-depth\.png.* not those that were prepared"):
        dataset[0]


def test_folder_without_images_is_refused(desk: Place, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file below .*empty matches '\{id\}-color\.png'"):
        prepare(desk.description, tmp_path / "empty")
    with pytest.raises(DataError, match="nowhere is no folder"):
        prepare(desk.description, tmp_path / "nowhere")


def test_split_without_images_is_refused_with_the_description_named(desk: Place) -> None:
    desk.describe(lambda text: text.replace('["a/*"]', '["*"]'))
    with pytest.raises(DataError, match="none of the 5 images for train") as caught:
        prepare(desk.description, desk.root)
    assert "desk.toml" in caught.value.__notes__[0]


def test_one_camera_needs_images_of_one_size(desk: Place) -> None:
    for field, shape, kind in (("color", (4, 4, 3), np.uint8), ("label", (4, 4), np.uint8),
                               ("depth", (4, 4), np.uint16)):  # fmt: skip
        desk.write(f"b/3-{field}.png", np.zeros(shape, kind))
    with pytest.raises(DataError, match="'b/3' has 4 x 4 pixels, image 'a/1' 6 x 8"):
        prepare(desk.description, desk.root)
    desk.describe(lambda text: text.replace("[camera]", "[split]\ntest_every = 2\n").split("fx")[0])
    info = prepare(desk.description, desk.root)
    assert info.size is None
    assert info.tasks == ("segmentation", "depth")
    assert opened(info, desk.root)[2]["image"].shape == (3, *SIZE)


def test_grid_without_the_folder_is_told_where_to_name_it(desk: Place, tmp_path: Path) -> None:
    info = prepare(desk.description, desk.root)
    with pytest.raises(DataError, match=r'add desk = "FOLDER" to \[resources.data\]'):
        opened(info, None)
    with pytest.raises(DataError, match=r"'desk' is in .*gone, which is no folder"):
        opened(info, tmp_path / "gone")


def test_real_frames_with_holes_and_labels_are_prepared_and_loaded() -> None:
    if not FRAMES.is_dir():
        pytest.skip(f"the real frames of {FRAMES} are not here")
    info = prepare(Path(__file__).with_name("ycb-video.toml"), FRAMES)
    assert (len(info.splits["train"]), len(info.splits["test"])) == (12, 3)
    assert (info.size, len(info.class_names)) == ((480, 640), 22)
    assert info.class_names[14] == "mug"
    json.dumps(dataclasses.asdict(info), allow_nan=False)
    for split in ("train", "test"):
        dataset = opened(info, FRAMES, split=split, size=(64, 64))
        for index in range(len(dataset)):
            check_real(dataset[index])


def check_real(sample: Sample) -> None:
    assert sample["image"].shape == (3, 64, 64)
    assert 0.1 < sample["image"].mean() < 0.7
    assert sample["segmentation"].min() == 0
    assert len(np.unique(sample["segmentation"])) >= 4  # background and three objects at least
    valid = sample["depth"][0] > 0
    assert 0.7 < valid.mean() < 0.99
    assert 0.45 < sample["depth"][0][valid].min() < sample["depth"][0].max() < 3.5
    seen = (sample["normals"] != 0).any(axis=0)
    assert seen[valid].mean() > 0.97
    assert not seen[~valid].any()
    np.testing.assert_allclose(np.linalg.norm(sample["normals"], axis=0)[seen], 1, atol=1e-5)
    # The camera looks down on a table: most of what it sees faces up and towards it.
    assert sample["normals"][1][seen].mean() < -0.2
    assert sample["normals"][2][seen].mean() < -0.4
