"""Synthetic streets: images with exact labels and disparity, as of a car's stereo cameras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mtljobs.contracts import DatasetInfo, Sample, Split
from mtljobs.data.cache import SampleCache
from mtljobs.data.rendering.sensor import develop, unlabelled
from mtljobs.data.street.render import render
from mtljobs.data.street.scene import Scene, lay_out
from mtljobs.data.street.stereo import disparity_of, unmatched
from mtljobs.settings.base import derive_seed
from mtljobs.settings.classes import CITYSCAPES7_OF_19, CITYSCAPES19_CLASSES

MISSING: Mapping[str, float] = {"sky": 1.0, "car": 0.06, "bus": 0.1, "train": 0.1, "fence": 0.15}
"""Probability that stereo matching finds nothing: no texture, mirrors, what repeats."""


class Streets:
    """One split of the synthetic streets.

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
        classes: int,
        info: DatasetInfo,
        split: Split,
        root: Path | None,
    ) -> None:
        """A split; nothing is rendered before it is asked for.

        Args:
            train: Known to `info.splits` too; a street does not depend on how many there are.
            test: As `train`.
            root: Not needed: there are no files.
        """
        self._size, self._seed, self._split = size, seed, split
        values = CITYSCAPES7_OF_19 if classes == 7 else range(19)
        self._labels = dict(zip(CITYSCAPES19_CLASSES, values, strict=True))
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
        disparity = disparity_of(picture.depth)
        holes = unmatched(disparity, draw, missing=missing)
        return {
            "image": develop(picture.radiance, draw),
            "segmentation": np.where(unlabelled(labels, draw), -1, labels).astype(np.int64),
            "depth": np.where(holes, 0.0, disparity)[None].astype(np.float32),
        }

    def scene(self, index: int) -> Scene:
        """The street behind an image."""
        return lay_out(self._generator("scene", index))

    def _generator(self, purpose: str, index: int) -> np.random.Generator:
        return np.random.default_rng(
            derive_seed(self._seed, f"street {self._split} {purpose}", index)
        )
