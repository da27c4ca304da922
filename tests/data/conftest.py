"""Published data sets in small: files in each original layout, with values that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtljobs.contracts import DatasetInfo
from mtljobs.data.preparing import prepare
from mtljobs.ledger.paths import Workspace

ROWS, COLUMNS = 12, 16


@dataclass
class Originals:
    """A folder of files, and what was written there: field -> one array per image.

    Images are `row column channel`, everything else `row column` or `row column channel`, as the
    files mean it before anything is decoded.
    """

    root: Path
    values: dict[str, np.ndarray]


def smooth(count: int, *, low: float, high: float) -> np.ndarray:
    """Slopes that differ from image to image: `image row column`."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS] / (ROWS + COLUMNS)
    slopes = np.linspace(0.5, 1.0, count)[:, None, None] * (rows + columns)
    return low + (high - low) * slopes


def random_images(count: int) -> np.ndarray:
    draw = np.random.default_rng(7)
    return draw.integers(0, 256, (count, ROWS, COLUMNS, 3), np.uint8)


@pytest.fixture
def nyuv2_official(tmp_path: Path) -> Originals:
    """Six images: 2, 3, 5, 6 train, 1 and 4 test; 2, 3 and 5, 6 are of one scene each."""
    count, root = 6, tmp_path / "nyuv2"
    root.mkdir()
    labels = np.random.default_rng(8).integers(0, 895, (count, ROWS, COLUMNS)).astype(np.uint16)
    labels[:, 0, 0] = 0
    depths = smooth(count, low=2, high=2.05).astype(np.float32)
    raw = depths.copy()
    raw[:, :2, :3] = 0
    values = {"images": random_images(count), "labels": labels, "depths": depths, "rawDepths": raw}
    scenes = ["hall_1", "bath_1", "bath_1", "hall_2", "hall_3", "hall_3"]
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, array in values.items():
            # MATLAB counts axes the other way round: image, (channel,) column, row.
            file[name] = np.moveaxis(array.swapaxes(1, 2), -1, 1) if array.ndim == 4 else (
                array.swapaxes(1, 2)
            )  # fmt: skip
        names = [
            file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in scene], np.uint16))
            for i, scene in enumerate(scenes)
        ]
        file["scenes"] = np.array([[name.ref for name in names]], dtype=h5py.ref_dtype)
    train, test = np.array([[2], [3], [5], [6]], np.uint16), np.array([[1], [4]], np.uint16)
    savemat(root / "splits.mat", {"trainNdxs": train, "testNdxs": test})
    mapped = (np.arange(894)[None] % 40 + 1).astype(np.uint8)
    savemat(root / "classMapping40.mat", {"mapClass": mapped})
    return Originals(root, values)


@pytest.fixture
def nyuv2_adashare(tmp_path: Path) -> Originals:
    """Four images, numbered from 0: 1, 2, 3 train, 0 test."""
    count, root = 4, tmp_path / "adashare"
    labels = np.arange(count * ROWS * COLUMNS).reshape(count, ROWS, COLUMNS) % 41
    labels = np.where(labels == 40, 255, labels).astype(np.uint8)
    normals = np.full((count, ROWS, COLUMNS, 3), (127, 127 - 127, 127), np.uint8)  # faces us
    normals[:, :2] = 255
    normals[:, 2:4] = 127
    depth = smooth(count, low=1, high=4).astype(np.float32)
    values = {"img": random_images(count), "seg": labels, "normal_mask": normals, "depth": depth}
    lists: dict[str, list[list[str]]] = {"train": [], "test": []}
    for number in range(count):
        split, folder = ("train", "training") if number else ("test", "testing")
        paths = []
        for name, arrays in values.items():
            ending = "npy" if name == "depth" else "png"
            paths.append(f"nyu_train_val/{folder}/{name}/{number:04d}.{ending}")
            save_array(root / paths[-1], arrays[number])
        lists[split].append(paths)
    (root / "nyu_v2_3task.json").write_text(json.dumps(lists))
    return Originals(root, values)


@pytest.fixture
def nyuv2_mtan(tmp_path: Path) -> Originals:
    """Four training images and two others; walls face the camera, floors (label 4) look up."""
    count, root = 6, tmp_path / "mtan"
    labels = np.arange(count * ROWS * COLUMNS).reshape(count, ROWS, COLUMNS) % 14 - 1.0
    normals = np.where(labels[..., None] == 4, (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    normals[:, 0] = 0
    depth = smooth(count, low=1, high=4).astype(np.float32)[..., None]
    images = random_images(count) / 255
    values = {"image": images, "label": labels, "depth": depth, "normal": normals}
    write_numbered(root, values, train=4)
    return Originals(root, values)


@pytest.fixture
def cityscapes_mtan(tmp_path: Path) -> Originals:
    """Three training images and one other, with 7 classes; disparities are p / 65535."""
    count, root = 4, tmp_path / "mtan-cityscapes"
    labels = np.arange(count * ROWS * COLUMNS).reshape(count, ROWS, COLUMNS) % 8 - 1.0
    disparity = np.rint(smooth(count, low=1000, high=30000)) / 65535
    disparity[:, 0, :2] = 0, 1 / 65535
    images = random_images(count) / 255
    values = {"image": images, "label_7": labels, "depth": disparity[..., None]}
    write_numbered(root, values, train=3)
    return Originals(root, values)


@pytest.fixture
def cityscapes_official(tmp_path: Path) -> Originals:
    """Two images of each of three training cities, and one of another; all 34 label ids."""
    root = tmp_path / "cityscapes"
    names = [
        *(f"train/{city}/{city}_00000{n}_000019" for city in ("aachen", "bremen", "ulm")
          for n in (0, 1)), "val/lindau/lindau_000000_000019",
    ]  # fmt: skip
    count = len(names)
    labels = (np.arange(count * ROWS * COLUMNS) % 34).reshape(count, ROWS, COLUMNS)
    disparity = np.rint(smooth(count, low=1000, high=30000)).astype(np.uint16)
    disparity[:, 0, :3] = 0, 1, 257
    values = {"image": random_images(count), "label": labels.astype(np.uint8), "p": disparity}
    for name, image, label, p in zip(names, *values.values(), strict=True):
        save_array(root / f"leftImg8bit/{name}_leftImg8bit.png", image)
        save_array(root / f"gtFine/{name}_gtFine_labelIds.png", label)
        save_array(root / f"disparity/{name}_disparity.png", p)
    return Originals(root, values)


def write_numbered(root: Path, values: dict[str, np.ndarray], *, train: int) -> None:
    for field, arrays in values.items():
        for number, array in enumerate(arrays):
            folder, own = ("train", number) if number < train else ("val", number - train)
            save_array(root / folder / field / f"{own}.npy", array)


def save_array(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


@pytest.fixture
def save() -> Callable[[Path, np.ndarray], None]:
    """Writes an NPY or PNG file."""
    return save_array


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs")


@pytest.fixture
def prepared(workspace: Workspace) -> Callable[..., DatasetInfo]:
    """Prepares a published set in this process, with nothing validating unless it is asked for."""

    def run(data_set: str, root: Path, **options: object) -> DatasetInfo:
        usual = {
            "workspace": workspace, "dataset_id": data_set, "layout": None, "sizes": (),
            "validation": 0.0, "jobs": 1, "progress": lambda *_: None,
        }  # fmt: skip
        return prepare(data_set, root, **{**usual, **options})

    return run
