"""Data sets. Context of `build`: `info` (DatasetInfo), `split`, `root` (folder or None)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import DatasetInfo
from mtljobs.errors import GridError
from mtljobs.settings.base import DECLARED, canonical, digest
from mtljobs.settings.classes import (
    CITYSCAPES7_CLASSES,
    CITYSCAPES7_OF_19,
    CITYSCAPES19_CLASSES,
    NYU13_CLASSES,
    NYU13_OF_40,
    NYU40_CLASSES,
)
from mtljobs.settings.sizes import Size, size_name


@runtime_checkable
class Synthetic(Protocol):
    """A data set that is computed: its settings alone say what it holds."""

    def info(self) -> DatasetInfo:
        """What a plan may know."""
        ...


@runtime_checkable
class Published(Protocol):
    """A data set that others publish: read from what `mtljobs data prepare` made of their files."""

    def published(self) -> DatasetInfo:
        """What is known before it is prepared: counts, names and units, without a hash."""
        ...

    def seen(self, prepared: DatasetInfo) -> DatasetInfo:
        """The prepared set at this choice's size and classes; its hash is of this size alone.

        Raises:
            GridError: It was not prepared at this size, or has no classes that fine.
        """
        ...


IDENTIFIER = "^[A-Za-z0-9][A-Za-z0-9_-]*$"
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
"""Name of a data set that is also the name of a folder."""


@dataclass(**DECLARED)
class Rooms:
    """Synthetic furnished rooms: exact labels, metric depth and normals, made on the fly.

    Attributes:
        size: (rows, columns) of the rendered images.
        train: Images of the training split.
        test: Images of the test split.
        seed: Of the whole set.
    """

    implementation: ClassVar[str] = "mtljobs.data.rooms:Rooms"
    version: ClassVar[int] = 1

    name: Literal["rooms"]
    size: Size = (64, 64)
    train: Annotated[int, Field(ge=1, le=100_000)] = 256
    test: Annotated[int, Field(ge=1, le=100_000)] = 64
    seed: int = 0

    @property
    def id(self) -> str:
        """Name of the data set."""
        return self.name

    def info(self) -> DatasetInfo:
        """What a plan may know; a synthetic set needs no preparation."""
        return DatasetInfo(
            id=self.id,
            splits=_counted(train=self.train, test=self.test),
            class_names=NYU13_CLASSES,
            tasks=("segmentation", "depth", "normals"),
            size=self.size,
            depth_unit="m",
            depth_scale=8.0,
            sha256=digest(canonical(self)),
        )


@dataclass(**DECLARED)
class Streets:
    """Synthetic streets, Cityscapes-like: exact labels and disparity, made on the fly.

    The depth is a disparity, in units of an eighth of the image's width at any size: 256 pixels
    of Cityscapes' 2048, which is the unit of the files of MTAN and its successors. It is 0 where
    it is unknown, as in the sky.

    Attributes:
        size: (rows, columns) of the rendered images.
        train: Images of the training split.
        test: Images of the test split.
        seed: Of the whole set.
        classes: Cityscapes' 19 classes, or their 7 categories.
    """

    implementation: ClassVar[str] = "mtljobs.data.streets:Streets"
    version: ClassVar[int] = 1

    name: Literal["streets"]
    size: Size = (64, 128)
    train: Annotated[int, Field(ge=1, le=100_000)] = 256
    test: Annotated[int, Field(ge=1, le=100_000)] = 64
    seed: int = 0
    classes: Literal[7, 19] = 7

    @property
    def id(self) -> str:
        """Name of the data set."""
        return self.name

    def info(self) -> DatasetInfo:
        """What a plan may know; a synthetic set needs no preparation."""
        return DatasetInfo(
            id=self.id,
            splits=_counted(train=self.train, test=self.test),
            class_names=CITYSCAPES7_CLASSES if self.classes == 7 else CITYSCAPES19_CLASSES,
            tasks=("segmentation", "depth"),
            size=self.size,
            depth_unit="disparity",
            depth_scale=0.5,  # the range of the stereo matching
            sha256=digest(canonical(self)),
        )


@dataclass(**DECLARED)
class Folder:
    """A user's own images, described by a small TOML and taken in by `mtljobs data prepare`.

    What the TOML may say stands in `mtljobs/data/description.py`.

    Attributes:
        id: The description's `id`; `[resources.data]` maps it to the folder.
        size: (rows, columns) that images and targets are resized to.
    """

    implementation: ClassVar[str] = "mtljobs.data.folder:Folder"
    version: ClassVar[int] = 1

    name: Literal["folder"]
    id: Identifier
    size: Size


@dataclass(**DECLARED)
class NYUv2:
    """NYU Depth v2: 1449 labelled views of rooms, with metric depth and normals.

    Source: Silberman et al., Indoor Segmentation and Support Inference from RGBD Images
    (ECCV 2012). The official split; a validation part is cut from train when it is prepared.

    Attributes:
        id: Name under which it was prepared.
        size: (rows, columns); one that was prepared.
        classes: Number of classes.
    """

    implementation: ClassVar[str] = "mtljobs.data.prepared:Prepared"
    version: ClassVar[int] = 1
    class_names: ClassVar[Mapping[int, tuple[str, ...]]] = {13: NYU13_CLASSES, 40: NYU40_CLASSES}

    name: Literal["nyuv2"]
    id: Identifier = "nyuv2"
    size: Size = (288, 384)
    classes: Literal[13, 40] = 13

    def published(self) -> DatasetInfo:
        """What is known before it is prepared; image ids only count the images."""
        return DatasetInfo(
            id=self.id,
            splits=_counted(train=795, test=654),
            class_names=self.class_names[self.classes],
            tasks=("segmentation", "depth", "normals"),
            size=(480, 640),
            depth_unit="m",
            depth_scale=10.0,
            sha256=None,
            preview_allowed=False,
        )

    def seen(self, prepared: DatasetInfo) -> DatasetInfo:
        """The prepared set at this choice's size and classes."""
        return _seen(self, prepared)


@dataclass(**DECLARED)
class Cityscapes:
    """Cityscapes: street views from a car, with disparity; it has no normals.

    Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding
    (arXiv:1604.01685). The official validation split serves as test, since labels of the official
    test split are not published; a validation part is cut from train when it is prepared.

    Attributes:
        id: Name under which it was prepared.
        size: (rows, columns); one that was prepared.
        classes: 19 evaluated classes, or their 7 categories.
    """

    implementation: ClassVar[str] = "mtljobs.data.prepared:Prepared"
    version: ClassVar[int] = 1
    class_names: ClassVar[Mapping[int, tuple[str, ...]]] = {
        7: CITYSCAPES7_CLASSES,
        19: CITYSCAPES19_CLASSES,
    }

    name: Literal["cityscapes"]
    id: Identifier = "cityscapes"
    size: Size = (128, 256)
    classes: Literal[7, 19] = 7

    def published(self) -> DatasetInfo:
        """What is known before it is prepared; image ids only count the images.

        The depth scale is MTAN's: the largest disparity of its training split.
        """
        return DatasetInfo(
            id=self.id,
            splits=_counted(train=2975, test=500),
            class_names=self.class_names[self.classes],
            tasks=("segmentation", "depth"),
            size=(1024, 2048),
            depth_unit="disparity",
            depth_scale=32257 / 65535,
            sha256=None,
            preview_allowed=False,
        )

    def seen(self, prepared: DatasetInfo) -> DatasetInfo:
        """The prepared set at this choice's size and classes."""
        return _seen(self, prepared)


PUBLISHED: Mapping[str, Published] = {
    "nyuv2": NYUv2(name="nyuv2"),
    "cityscapes": Cityscapes(name="cityscapes"),
}
"""Every published set, with its defaults."""

COARSER: Mapping[tuple[int, int], tuple[int, ...]] = {
    (40, 13): NYU13_OF_40,
    (19, 7): CITYSCAPES7_OF_19,
}
"""(number of a set's classes, number wanted) -> the wanted label of each label."""


def _seen(choice: NYUv2 | Cityscapes, prepared: DatasetInfo) -> DatasetInfo:
    finest = len(prepared.class_names)
    if choice.classes > finest:
        raise GridError(
            f"the files that {prepared.id!r} was prepared from know {finest} classes, the grid "
            f"asks for {choice.classes}: set classes = {finest} in data, or prepare the set from "
            "another layout of its files."
        )
    size = size_name(choice.size)
    sizes: Mapping[str, Mapping[str, str]] = prepared.description["sizes"]
    if size not in sizes:
        raise GridError(
            f"the data set {prepared.id!r} is prepared at {', '.join(sizes)} (rows x columns), the "
            f"grid asks for {size}: `mtljobs data prepare {choice.name} --root FOLDER --size "
            f"{size}` adds it."
        )
    return dataclasses.replace(
        prepared,
        class_names=choice.class_names[choice.classes],
        sha256=sizes[size]["sha256"],
    )


def _counted(**counts: int) -> dict[str, tuple[str, ...]]:
    """Ids that only count; there is no validation part before somebody cuts one."""
    return {
        split: tuple(f"{split}-{index:05d}" for index in range(counts.get(split, 0)))
        for split in ("train", "validation", "test")
    }


DataChoice = Annotated[Rooms | Streets | Folder | NYUv2 | Cityscapes, Field(discriminator="name")]
