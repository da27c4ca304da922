"""NYUv2 from `nyu_depth_v2_labeled.mat`, with the split and the class map beside it."""

from __future__ import annotations

import struct
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mtljobs.data.geometry import Camera
from mtljobs.data.sources.source import Contents
from mtljobs.data.sources.values import depth_values, image_values, label_values
from mtljobs.errors import DataError
from mtljobs.settings.classes import NYU40_CLASSES

CAMERA = Camera(fx=518.8579, fy=519.4696, cx=325.5824, cy=253.7362)
"""Of the colour images, at 480 x 640; the numbers of the NYUv2 toolbox's `camera_params.m`."""

MAT = "nyu_depth_v2_labeled.mat"
RAW_CLASSES = 894
ARRAYS = {"images": 4, "labels": 3, "depths": 3, "rawDepths": 3}
"""Dataset in the .mat -> its number of axes."""

UNREADABLE = (
    OSError, ValueError, TypeError, LookupError, EOFError, NotImplementedError, zlib.error,
    struct.error, MatReadError,
)  # fmt: skip
"""What scipy raises on MATLAB files that are not what they should be."""


class Official:
    """The official files; image ids are the official numbers, which begin at 0001.

    The .mat is HDF5 as MATLAB writes it, so that every array is turned around. Depth is the
    in-painted one where the sensor measured, and missing where it did not (`rawDepths` = 0):
    in-painted values are guesses. Normals are computed from that depth. Nothing is cropped: in
    the white frame of the images labels are void and depth is missing.
    """

    def __init__(self, root: Path) -> None:
        """The folder that holds the three files."""
        self._mat = root / MAT
        self._splits = root / "splits.mat"
        self._classes = root / "classMapping40.mat"
        problems: list[str] = []
        count, size, scenes = 0, None, {}
        try:
            count, size = _survey(self._mat, self._file)
            scenes = _scenes(self._mat, self._file, count)
        except DataError as error:
            problems.append(str(error))
        splits: dict[str, tuple[str, ...]] = {"train": (), "test": ()}
        for read in (self._read_splits, self._read_classes):
            try:
                read(count, splits)
            except DataError as error:
                problems.append(str(error))
        self.problems = tuple(problems)
        self.contents = Contents(
            layout="official",
            splits=splits,
            class_names=NYU40_CLASSES,
            size=size,
            fields=("image", "segmentation", "depth"),
            depth_unit="m",
            scenes=scenes,
            camera=CAMERA,
            facts={"normals": "computed from depth", "depth": "in-painted, where measured"},
        )

    def files(self, image: str) -> tuple[Path, ...]:
        """The three files that every sample is made from."""
        return self._mat, self._splits, self._classes

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image."""
        where = f"{self._mat}, image {image},"
        if field == "image":
            return image_values(where, np.moveaxis(self._array("images", image), 0, -1))
        if field == "segmentation":
            return label_values(where, self._array("labels", image), self._meaning)
        depth = depth_values(where, self._array("depths", image))
        depth[0, self._array("rawDepths", image) == 0] = 0
        return depth

    @cached_property
    def _file(self) -> h5py.File:
        try:
            return h5py.File(self._mat, "r", locking=False)  # some network file systems cannot
        except OSError as error:
            size = self._mat.stat().st_size if self._mat.is_file() else 0
            raise DataError(
                f"{self._mat} ({size} bytes) cannot be opened ({error}); expected the MATLAB file "
                "(HDF5) of 1449 labelled images, 2.8 GB: it is missing, or was cut short; "
                "download it again."
            ) from error

    def _array(self, name: str, image: str) -> np.ndarray:
        try:
            values: np.ndarray = self._file[name][int(image) - 1]
        except OSError as error:
            raise DataError(
                f"{self._mat}, image {image}: {name} cannot be read ({error}); the file is "
                "damaged: download it again."
            ) from error
        return np.swapaxes(values, -1, -2)

    def _read_splits(self, count: int, splits: dict[str, tuple[str, ...]]) -> None:
        values = _load(self._splits, ("trainNdxs", "testNdxs"))
        train, test = (np.sort(values[name].ravel().astype(int)) for name in values)
        both = np.sort(np.concatenate([train, test]))
        if count and not np.array_equal(both, np.arange(1, count + 1)):
            numbers = f", from {both[0]} to {both[-1]}" if len(both) else ""
            raise DataError(
                f"{self._splits} names {len(train)} training and {len(test)} test images{numbers}; "
                f"expected each of 1 to {count} once, as {self._mat.name} holds {count} images and "
                "MATLAB counts from 1: take both files from the same source."
            )
        splits["train"], splits["test"] = (
            tuple(f"{number:04d}" for number in part) for part in (train, test)
        )

    def _read_classes(self, *_: object) -> None:
        if len(self._meaning) != RAW_CLASSES + 1:
            raise DataError(
                f"{self._classes}: mapClass maps {len(self._meaning) - 1} classes; expected "
                f"{RAW_CLASSES}, each to 1 to 40."
            )

    @cached_property
    def _meaning(self) -> dict[int, int]:
        """Label in the .mat -> one of the 40 classes."""
        mapped = _load(self._classes, ("mapClass",))["mapClass"].ravel().astype(int)
        if mapped.min(initial=1) < 1 or mapped.max(initial=1) > len(NYU40_CLASSES):
            raise DataError(f"{self._classes}: mapClass holds values outside 1 to 40.")
        return {0: -1} | {raw: int(one) - 1 for raw, one in enumerate(mapped, start=1)}


def _load(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        values: dict[str, Any] = loadmat(path)
        return {name: values[name] for name in names}
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read ({error!r}); expected a MATLAB file with {', '.join(names)}: "
            f"it comes with the data set's toolbox and belongs beside {MAT}."
        ) from error


def _survey(path: Path, file: h5py.File) -> tuple[int, tuple[int, int]]:
    """Number of images, and their (rows, columns)."""
    shapes = {name: file[name].shape if name in file else None for name in ARRAYS}
    images = shapes["images"]
    if images is None or len(images) != ARRAYS["images"] or images[1] != 3:
        raise DataError(_wrong_shape(path, "images", images))
    for name, shape in shapes.items():
        if shape != images and shape != (images[0], *images[2:]):
            raise DataError(_wrong_shape(path, name, shape))
    return images[0], (images[3], images[2])


def _wrong_shape(path: Path, name: str, shape: tuple[int, ...] | None) -> str:
    expected = ("image", "channel", "column", "row") if name == "images" else (
        "image", "column", "row"
    )  # fmt: skip
    found = f"has the shape {shape}" if shape else "is missing"
    return (
        f"{path}: the array {name} {found}; expected {' '.join(expected)}, as "
        f"{MAT} has it: is it another of the data set's files?"
    )


def _scenes(path: Path, file: h5py.File, count: int) -> dict[str, str]:
    """Scene of each image; MATLAB keeps strings as references to arrays of character codes."""
    try:
        references = np.asarray(file["scenes"]).ravel()
        names = ["".join(map(chr, np.asarray(file[ref]).ravel())) for ref in references]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: the scenes of the images cannot be read ({error!r}); they are what keeps "
            "training and validation apart: download the file again."
        ) from error
    if len(names) != count:
        raise DataError(f"{path} names the scenes of {len(names)} images, and holds {count}.")
    return {f"{number:04d}": name for number, name in enumerate(names, start=1)}
