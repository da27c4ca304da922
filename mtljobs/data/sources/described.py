"""A user's own images as a source, so that they are checked as published ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtljobs.data.description import Description
from mtljobs.data.folder import decode_field, find_images, read_file
from mtljobs.data.sources.source import Contents
from mtljobs.errors import DataError


class DescribedFiles:
    """The files that a description names."""

    def __init__(self, described: Description, root: Path) -> None:
        """The folder that the description's patterns count from.

        Raises:
            DataError: It has no image.
        """
        self._described, self._root = described, root
        images = find_images(described, root)
        self.problems: tuple[str, ...] = ()
        splits = {"train": images}
        try:
            splits = described.split.assign(images)
        except DataError as error:
            self.problems = (str(error),)
        self.contents = Contents(
            layout="described",
            splits=splits,
            class_names=described.segmentation.classes if described.segmentation else (),
            size=None,
            fields=tuple(described.patterns()),
            depth_unit=described.depth.unit if described.depth else "m",
        )

    def files(self, image: str) -> tuple[Path, ...]:
        """The image's file and those of its targets."""
        patterns = self._described.patterns().values()
        return tuple(self._root / pattern.replace("{id}", image) for pattern in patterns)

    def read(self, image: str, field: str) -> np.ndarray:
        """One field of an image."""
        path, content = read_file(self._described, self._root, image, field)
        return decode_field(self._described, field, path, content)
