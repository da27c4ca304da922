"""NYUv2 and Cityscapes as MTAN's authors share them: folders of NPY files, already small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtljobs.data.arrays import finite, unit_vectors
from mtljobs.data.description import Direction
from mtljobs.data.sources.source import Contents
from mtljobs.data.sources.values import (
    depth_values,
    first_size,
    image_values,
    label_values,
    read_values,
)
from mtljobs.errors import DataError
from mtljobs.settings.classes import CITYSCAPES7_CLASSES, CITYSCAPES19_CLASSES, NYU13_CLASSES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FOLDERS = {"train": "train", "test": "val"}
"""Split -> folder."""

LABELS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "nyuv2": {"label": NYU13_CLASSES},
    "cityscapes": {"label_19": CITYSCAPES19_CLASSES, "label_7": CITYSCAPES7_CLASSES},
}
"""Data set -> folder of labels -> its classes; the first that is there is read."""

DISPARITY = {"pixels_per_unit": 65535 / 256, "offset_pixels": -1 / 256, "at_columns": 2048}
"""The files hold p / 65535 of the official 16-bit values p; a disparity is (p - 1) / 256 pixels."""

ZERO_DISPARITY = 1.5 / 65535
"""Below it lies p = 1: a disparity of 0 says nothing of depth, and counts as missing."""

LOOKS_BACK = -0.2
"""Mean of the channel that points away from the camera, at most; -0.65 or so in rooms."""

LOOKED_AT = 16
"""Images that tell where the axes of normals point."""


class MTAN:
    """`train` and `val`, each with a folder of numbered NPY files per field.

    Image ids are the folder and the number: how the files follow the official ones is not known.
    Nor is it written down where the axes of the normals point; see `axes_of`.
    """

    def __init__(self, root: Path, *, data_set: str) -> None:
        """The folder that holds `train` and `val`.

        Args:
            data_set: "nyuv2" or "cityscapes".
        """
        self._root = root
        label, names = _labels(root, LABELS[data_set])
        named = {"image": "image", "segmentation": label, "depth": "depth"}
        if data_set == "nyuv2":
            named["normals"] = "normal"
        self._folders = {
            field: name for field, name in named.items() if (root / "train" / name).is_dir()
        }
        self._meaning = {-1: -1} | {value: value for value in range(len(names))}
        numbers = {split: _numbers(root / folder, "image") for split, folder in FOLDERS.items()}
        problems = list(_unmatched(root, self._folders, numbers))
        splits = {
            split: tuple(_id(split, number) for number in numbers[split]) for split in FOLDERS
        }
        facts: dict[str, Any] = {"disparity": DISPARITY} if data_set == "cityscapes" else {}
        self._axes: tuple[Direction, ...] = ()
        if "normals" in self._folders:
            try:
                self._axes = self._find_axes(splits["train"][:LOOKED_AT], names)
            except DataError as error:
                problems.append(str(error))
            facts["normals"] = {"axes": self._axes}
        self.problems = tuple(problems)
        self.contents = Contents(
            layout="mtan",
            splits=splits,
            class_names=names,
            size=first_size(self._path(image, "image") for image in splits["train"]),
            fields=tuple(self._folders),
            depth_unit="m" if data_set == "nyuv2" else "disparity",
            facts=facts,
        )

    def files(self, image: str) -> tuple[Path, ...]:
        """The image's file and those of its targets."""
        return tuple(self._path(image, field) for field in self._folders)

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image."""
        path = self._path(image, field)
        values = read_values(path)
        if field == "image":
            return image_values(path, values)
        if field == "segmentation":
            return label_values(path, values, self._meaning)
        if field == "normals":
            return unit_vectors(_vectors(path, values), self._axes)
        depth = depth_values(path, values)
        if self.contents.depth_unit == "disparity":
            depth[depth < ZERO_DISPARITY] = 0
        return depth

    def _path(self, image: str, field: str) -> Path:
        folder, _, number = image.partition("-")
        return self._root / folder / self._folders[field] / f"{int(number)}.npy"

    def _find_axes(self, images: Sequence[str], names: Sequence[str]) -> tuple[Direction, ...]:
        vectors, floors = [], []
        for image in images:
            path = self._path(image, "normals")
            try:
                normals = _vectors(path, read_values(path))
                floor = self._floor(image, names, normals.shape[:2])
            except DataError:
                continue  # said of the file itself, when it is read
            vectors.append(normals.reshape(-1, 3))
            floors.append(floor.ravel())
        if not vectors:
            raise DataError(f"no file in {self._root}/train/normal can be read with its labels.")
        return axes_of(np.concatenate(vectors), np.concatenate(floors), where=self._root)

    def _floor(self, image: str, names: Sequence[str], size: tuple[int, ...]) -> np.ndarray:
        """Where an image shows the floor; nowhere where nothing says so."""
        if "segmentation" in self._folders:
            labels = self.read(image, "segmentation")
            if labels.shape == size:
                return np.asarray(labels == names.index("floor"))
        return np.zeros(size, bool)


def axes_of(
    vectors: Float[np.ndarray, "pixel channel"], floor: Bool[np.ndarray, "pixel"], *, where: Path
) -> tuple[Direction, ...]:
    """Where the channels of normals point, told by what must hold in any room.

    What is seen looks back at the camera, and floors look up. The first channel is taken to point
    right, as everybody who mirrors these files negates it.

    Args:
        floor: Pixels of the class floor.

    Raises:
        DataError: No channel looks back.
    """
    means = vectors.mean(axis=0)
    away = int(np.argmin(means))
    if away == 0 or means[away] > LOOKS_BACK:
        raise DataError(
            f"the normals in {where}/train/normal do not look back at the camera: the means of "
            f"their channels are {', '.join(f'{mean:.2f}' for mean in means)}, and that of the "
            "second or third should be clearly negative. Are they unit vectors in [-1, 1], 0 where "
            "missing? Take the data set's own files, or leave the folder out."
        )
    if away == 1:
        return "right", "away", "up"
    looks_up = bool(floor.any()) and vectors[floor, 1].mean() > 0
    return "right", "up" if looks_up else "down", "away"


def _id(split: str, number: int) -> str:
    return f"{FOLDERS[split]}-{number:04d}"


def _vectors(path: Path, values: np.ndarray) -> np.ndarray:
    if values.ndim != 3 or values.shape[2] != 3:
        raise DataError(f"{path} has the shape {values.shape}; normals are `row column channel`.")
    return finite(path, values)


def _labels(root: Path, folders: Mapping[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """The folder of labels that is read, and its classes."""
    there = [name for name in folders if (root / "train" / name).is_dir()]
    name = (there or list(folders))[0]
    return name, folders[name]


def _numbers(folder: Path, field: str) -> list[int]:
    return sorted(
        int(path.stem) for path in (folder / field).glob("*.npy") if path.stem.isdecimal()
    )


def _unmatched(
    root: Path, folders: Mapping[str, str], numbers: Mapping[str, Sequence[int]]
) -> Iterator[str]:
    """What is missing beside the images, or the images themselves."""
    for split, folder in FOLDERS.items():
        if not numbers[split]:
            yield f"{root / folder / 'image'} holds no numbered .npy file; expected 0.npy and on."
        for name in folders.values():
            other = set(_numbers(root / folder, name))
            for what, odd in (("lacks", set(numbers[split]) - other),
                              ("has no image for", other - set(numbers[split]))):  # fmt: skip
                if odd:
                    files = ", ".join(f"{number}.npy" for number in sorted(odd)[:5])
                    yield (
                        f"{root / folder / name} {what} {len(odd)} of the files ({files}"
                        f"{', ...' if len(odd) > 5 else ''}); every field has one file per image: "
                        "unpack the archive again."
                    )
