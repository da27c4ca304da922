"""Cityscapes from the official folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtljobs.data.sources.source import Contents
from mtljobs.data.sources.values import (
    depth_values,
    first_size,
    image_values,
    label_values,
    read_values,
)
from mtljobs.errors import DataError
from mtljobs.settings.classes import CITYSCAPES19_CLASSES

FOLDERS = {"train": "train", "test": "val"}
"""Split -> folder; the official test split has no labels."""

FILES = {
    "image": ("leftImg8bit", "leftImg8bit"),
    "segmentation": ("gtFine", "gtFine_labelIds"),
    "depth": ("disparity", "disparity"),
}
"""Field -> its top folder, and how its files' names end."""

TRAINED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The labelId of each of `CITYSCAPES19_CLASSES`; all others are void.

Source: `cityscapesscripts/helpers/labels.py`. Its categories hold further ids (9, 10, 14 to 16, 18,
29, 30) that its evaluation ignores; they are void here, also for the 7 classes.
"""

MEANING = dict.fromkeys((*range(34), 255), -1) | {
    label_id: label for label, label_id in enumerate(TRAINED_IDS)
}


class Official:
    """`leftImg8bit`, `gtFine` and `disparity`; image ids are `<city>_<sequence>_<frame>`.

    Disparity is in pixels of the full width of 2048, 0 where missing. Without the folder there is
    no depth.
    """

    def __init__(self, root: Path) -> None:
        """The folder that holds the three."""
        self._root = root
        self._fields = tuple(field for field, (top, _) in FILES.items() if (root / top).is_dir())
        self._split = {
            path.name.removesuffix("_leftImg8bit.png"): folder
            for folder in FOLDERS.values()
            for path in sorted((root / "leftImg8bit" / folder).glob("*/*_leftImg8bit.png"))
        }
        splits = {
            split: tuple(image for image, place in self._split.items() if place == folder)
            for split, folder in FOLDERS.items()
        }
        self.problems = tuple(self._find_problems())
        self.contents = Contents(
            layout="official",
            splits=splits,
            class_names=CITYSCAPES19_CLASSES,
            size=first_size(self._path(image, "image") for image in self._split),
            fields=self._fields,
            depth_unit="disparity",
            scenes={image: image.partition("_")[0] for image in self._split},
            facts={"disparity": {"pixels_per_unit": 1, "offset_pixels": 0, "at_columns": 2048}},
        )

    def files(self, image: str) -> tuple[Path, ...]:
        """The image's file and those of its targets."""
        return tuple(self._path(image, field) for field in self._fields)

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image."""
        path = self._path(image, field)
        values = read_values(path, colours=field == "image")
        if field == "image":
            return image_values(path, values)
        if field == "segmentation":
            return label_values(path, values, MEANING)
        if not np.issubdtype(values.dtype, np.integer) or values.dtype == np.uint8:
            raise DataError(
                f"{path} holds values of type {values.dtype}; expected a disparity of 16 bits: "
                "take the data set's own file."
            )
        # 0 is missing; 1 is a disparity of 0, which says nothing of depth either.
        return depth_values(path, np.maximum(values.astype(np.int64) - 1, 0) / 256)

    def _path(self, image: str, field: str) -> Path:
        top, ending = FILES[field]
        city = image.partition("_")[0]
        return self._root / top / self._split[image] / city / f"{image}_{ending}.png"

    def _find_problems(self) -> Iterator[str]:
        for folder in FOLDERS.values():
            if folder not in self._split.values():
                yield (
                    f"{self._root / 'leftImg8bit' / folder} holds no "
                    "<city>/<city>_<sequence>_<frame>_leftImg8bit.png: unpack the archive "
                    "leftImg8bit_trainvaltest there."
                )
        if "segmentation" not in self._fields:
            yield (
                f"{self._root / 'gtFine'} is missing: unpack the archive gtFine_trainvaltest "
                "beside leftImg8bit."
            )
        for image in self._split:
            for path in self.files(image):
                if not path.is_file():
                    yield f"{path} is missing; image {image!r} has no such target: unpack it again."
