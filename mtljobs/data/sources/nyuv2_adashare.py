"""NYUv2 as AdaShare lays it out, which DiSparse reads too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtljobs.data.arrays import finite, unit_vectors
from mtljobs.data.sources.source import Contents
from mtljobs.data.sources.values import (
    depth_values,
    first_size,
    image_values,
    label_values,
    read_values,
)
from mtljobs.errors import DataError
from mtljobs.settings.classes import NYU40_CLASSES

LIST = "nyu_v2_3task.json"
FIELDS = ("image", "segmentation", "normals", "depth")
"""In the order of the list's entries."""

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Key of the list -> split; the study added "val"."""

MEANING = {255: -1} | {label: label for label in range(len(NYU40_CLASSES))}


class AdaShare:
    """PNG and NPY files that a JSON list names, by split.

    Files are numbered from 0; image ids are the official numbers, which begin at 0001.
    """

    def __init__(self, root: Path) -> None:
        """The folder that the paths in the list count from."""
        self._files: dict[str, tuple[Path, ...]] = {}
        problems: list[str] = []
        splits: dict[str, tuple[str, ...]] = {"train": (), "test": ()}
        for key, entries in _read_list(root / LIST).items():
            splits[SPLITS[key]] = tuple(self._enter(root, entry, problems) for entry in entries)
        self.problems = tuple(problems)
        self.contents = Contents(
            layout="adashare",
            splits=splits,
            class_names=NYU40_CLASSES,
            size=first_size(paths[0] for paths in self._files.values()),
            fields=FIELDS,
            depth_unit="m",
            facts={"normals": "Eigen and Fergus, decoded from 8 bits", "depth": "in-painted"},
        )

    def files(self, image: str) -> tuple[Path, ...]:
        """The image's file and those of its targets."""
        return self._files[image]

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image."""
        path = self._files[image][FIELDS.index(field)]
        values = read_values(path, colours=field == "image")
        if field == "image":
            return image_values(path, values)
        if field == "segmentation":
            return label_values(path, values, MEANING)
        if field == "depth":
            return depth_values(path, values)
        return _decoded_normals(path, values)

    def _enter(self, root: Path, entry: list[str], problems: list[str]) -> str:
        paths = tuple(root / path for path in entry)
        stem = paths[0].stem
        image = f"{int(stem) + 1:04d}" if stem.isdecimal() else stem
        if not stem.isdecimal():
            problems.append(f"{root / LIST} names {entry[0]!r}; files are numbered from 0000.")
        if image in self._files:
            problems.append(f"{root / LIST} names {entry[0]!r} twice; an image has one split.")
        problems += [f"{path} is missing; {LIST} names it." for path in paths if not path.is_file()]
        self._files[image] = paths
        return image


def _read_list(path: Path) -> Mapping[str, list[list[str]]]:
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(lists) - set(SPLITS)) or sorted({"train", "test"} - set(lists))
        entries = [entry for part in lists.values() for entry in part]
        fits = not unknown and all(
            len(entry) == len(FIELDS) and all(isinstance(name, str) for name in entry)
            for entry in entries
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error}); {_EXPECTED}") from error
    if not fits or not entries:
        raise DataError(f"{path} has the keys {', '.join(lists)}; {_EXPECTED}")
    ordered: dict[str, list[list[str]]] = {key: lists[key] for key in SPLITS if key in lists}
    return ordered


_EXPECTED = (
    'expected "train" and "test" (and "val"), each a list of [image, segmentation, normals, depth] '
    "paths that count from its folder: take the list that comes with these files."
)


def _decoded_normals(path: Path, values: np.ndarray) -> np.ndarray:
    """Unit normals from 8 bits.

    The channels point right, away and up. 255, 255, 255 is a pixel without a normal; 127, 127,
    127 is a vector of length 0, so without a normal as well.
    """
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        raise DataError(
            f"{path} holds {values.dtype} of the shape {values.shape}; expected normals as an "
            "8-bit RGB image, 127 for 0."
        )
    vectors = (finite(path, values) - 127) / 127.5
    vectors[(values == 255).all(axis=-1)] = 0
    return unit_vectors(vectors, ("right", "away", "up"))
