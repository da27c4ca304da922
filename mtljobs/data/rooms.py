"""Synthetic furnished rooms: images with exact labels, depth and normals, made on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtljobs.contracts import DatasetInfo, Sample, Split
from mtljobs.data.cache import SampleCache
from mtljobs.data.rendering.sensor import develop, unlabelled
from mtljobs.data.room.render import render
from mtljobs.data.room.scene import Scene, furnish
from mtljobs.data.room.sensor import depth_holes
from mtljobs.settings.base import derive_seed

MISSING: Mapping[str, float] = {"window": 0.85, "tv": 0.35}
"""Probability that the depth sensor gets nothing back: glass, and black gloss."""


class Rooms:
    """One split of the synthetic rooms.

    Every image is a function of (seed, split, index) and the size alone, and the scene behind it
    not even of the size. The first 512 MiB of samples stay in memory.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int],
        train: int,
        test: int,
        seed: int,
        info: DatasetInfo,
        split: Split,
        root: Path | None,
    ) -> None:
        """A split; nothing is rendered before it is asked for.

        Args:
            train: Known to `info.splits` too; a room does not depend on how many there are.
            test: As `train`.
            root: Not needed: there are no files.
        """
        self._size, self._seed, self._split = size, seed, split
        self._labels = {name: value for value, name in enumerate(info.class_names)}
        self._cache = SampleCache(len(info.splits[split]))

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, index: int) -> Sample:
        return self._cache.get(index, self._make)

    def _make(self, index: int) -> Sample:
        scene = self.scene(index)
        draw = self._generator("sensor", index)
        picture = render(scene, self._size)
        names = scene.world.labels
        labels = np.array([self._labels[name] for name in names])[picture.face]
        missing = np.array([MISSING.get(name, 0.0) for name in names])[picture.face]
        holes = depth_holes(picture, draw, missing=missing)
        return {
            "image": develop(picture.radiance, draw),
            "segmentation": np.where(unlabelled(labels, draw), -1, labels).astype(np.int64),
            "depth": np.where(holes, 0.0, picture.depth)[None].astype(np.float32),
            "normals": np.where(holes, 0.0, picture.normals).astype(np.float32),
        }

    def scene(self, index: int) -> Scene:
        """The room behind an image."""
        return furnish(self._generator("scene", index))

    def _generator(self, purpose: str, index: int) -> np.random.Generator:
        return np.random.default_rng(
            derive_seed(self._seed, f"room {self._split} {purpose}", index)
        )
