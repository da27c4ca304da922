"""Data sets. Context of `build`: `info` (DatasetInfo), `split`, `root` (folder or None)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import DatasetInfo, Split
from mtljobs.settings.base import DECLARED, canonical, digest


@runtime_checkable
class Synthetic(Protocol):
    """A data set that is computed: its settings alone say what it holds."""

    def info(self) -> DatasetInfo:
        """What a plan may know."""
        ...


Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""(rows, columns) in pixels of the images that the network sees."""

NYU13_CLASSES = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects",
    "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
"""NYUv2's 13 classes in the order of their labels 0 to 12.

Source: Couprie et al., Indoor Semantic Segmentation using depth information (arXiv:1301.3572).
"""

CITYSCAPES19_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
"""Cityscapes' 19 evaluated classes in the order of their trainIds 0 to 18.

Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding
(arXiv:1604.01685), and the `labels.py` that comes with it.
"""

CITYSCAPES7_CLASSES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
"""The categories of `CITYSCAPES19_CLASSES`."""

CITYSCAPES7_OF_19 = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6)
"""Position in `CITYSCAPES7_CLASSES` of each of `CITYSCAPES19_CLASSES`."""


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
        counts: dict[Split, int] = {"train": self.train, "validation": 0, "test": self.test}
        return DatasetInfo(
            id=self.id,
            splits={
                split: tuple(f"{split}-{index:05d}" for index in range(count))
                for split, count in counts.items()
            },
            class_names=NYU13_CLASSES,
            tasks=("segmentation", "depth", "normals"),
            size=self.size,
            depth_unit="m",
            depth_scale=8.0,
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
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    size: Size


DataChoice = Annotated[Rooms | Folder, Field(discriminator="name")]
