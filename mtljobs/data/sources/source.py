"""What every layout of a published data set's files is opened as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mtljobs.contracts import Sample
from mtljobs.data.geometry import Camera
from mtljobs.errors import DataError


@dataclass(frozen=True)
class Contents:
    """What a folder holds, as far as it can be told without opening every image.

    Attributes:
        layout: Name of the layout.
        splits: "train", "test", and "validation" where the files have one -> image ids.
        class_names: The finest classes that the labels tell apart.
        size: (rows, columns) of every image; None where they may differ.
        fields: "image" and the targets that have files.
        depth_unit: As in `DatasetInfo`.
        scenes: Image id -> the scene that it is of; empty where nothing says so.
        camera: Where normals are to be computed from depth.
        facts: What else `dataset.json` should say of the values.
    """

    layout: str
    splits: Mapping[str, tuple[str, ...]]
    class_names: tuple[str, ...]
    size: tuple[int, int] | None
    fields: tuple[str, ...]
    depth_unit: str
    scenes: Mapping[str, str] = field(default_factory=dict)
    camera: Camera | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The targets that every sample has."""
        there = {*self.fields, *(("normals",) if self.camera else ())}
        return tuple(task for task in ("segmentation", "depth", "normals") if task in there)

    @property
    def images(self) -> tuple[str, ...]:
        """All ids, split by split."""
        return tuple(image for ids in self.splits.values() for image in ids)


class Source(Protocol):
    """The files of a data set.

    Attributes:
        problems: What is wrong with the folder itself, a sentence each; where there are any,
            `contents` may lack what they are about.
    """

    contents: Contents
    problems: tuple[str, ...]

    def files(self, image: str) -> tuple[Path, ...]:
        """All files that a sample is made from."""
        ...

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image at native size, in the conventions of `mtljobs.contracts`.

        Raises:
            DataError: Names the file and what is wrong with it.
        """
        ...


def read_sample(source: Source, image: str) -> Sample:
    """All fields of an image that have files, at native size.

    Raises:
        DataError: The first that is not what it should be.
    """
    sample: dict[str, np.ndarray] = {}
    for name in source.contents.fields:
        sample[name] = source.read(image, name)
        _check_size(source, image, name, sample)
    return sample


def find_faults(source: Source, image: str) -> Iterator[str]:
    """All that is wrong with the files of an image."""
    sample: dict[str, np.ndarray] = {}
    for name in source.contents.fields:
        try:
            sample[name] = source.read(image, name)
            _check_size(source, image, name, sample)
        except DataError as error:
            yield str(error)


def _check_size(source: Source, image: str, name: str, sample: Sample) -> None:
    found = sample[name].shape[-2:]
    expected = source.contents.size
    other = "those of the first image have"
    if expected is None and "image" in sample:
        expected, other = sample["image"].shape[-2:], "the image itself has"
    if expected not in (None, found):
        raise DataError(
            f"the {name} of image {image!r} has {found[0]} x {found[1]} pixels (rows x columns), "
            f"{other} {expected[0]} x {expected[1]}; they must agree: replace the file by the "
            "data set's own."
        )
