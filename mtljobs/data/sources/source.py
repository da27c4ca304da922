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
        size: (rows, columns) of every image.
        fields: "image" and the targets that have files.
        depth_unit: As in `DatasetInfo`.
        scenes: Image id -> the scene that it is of; empty where nothing says so.
        camera: Where normals are to be computed from depth.
        facts: What else `dataset.json` should say of the values.
    """

    layout: str
    splits: Mapping[str, tuple[str, ...]]
    class_names: tuple[str, ...]
    size: tuple[int, int]
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
    sample = {}
    for name in source.contents.fields:
        sample[name] = source.read(image, name)
        if wrong := _wrong_size(source, image, name, sample[name]):
            raise DataError(wrong)
    return sample


def find_faults(source: Source, image: str) -> Iterator[str]:
    """All that is wrong with the files of an image."""
    for name in source.contents.fields:
        try:
            values = source.read(image, name)
        except DataError as error:
            yield str(error)
        else:
            if wrong := _wrong_size(source, image, name, values):
                yield wrong


def _wrong_size(source: Source, image: str, name: str, values: np.ndarray) -> str | None:
    rows, columns = source.contents.size
    if values.shape[-2:] == (rows, columns):
        return None
    return (
        f"the {name} of image {image!r} has {values.shape[-2]} x {values.shape[-1]} pixels (rows x "
        f"columns), the first image {rows} x {columns}; all must agree: replace the file by the "
        "data set's own."
    )
