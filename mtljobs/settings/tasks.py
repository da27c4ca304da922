"""Prediction tasks. Context of `build`: `info` (DatasetInfo).

`score` says what a curve of the task follows while parts of the image go, for those who read it.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from mtljobs.contracts import DatasetInfo
from mtljobs.settings.base import DECLARED, EXPLAINS


@dataclass(**DECLARED)
class Segmentation:
    """A class per pixel. Groups are the classes, the score is the mean logit of the class.

    Metrics are fractions; `miou` leaves out classes that are neither shown nor predicted.
    """

    implementation: ClassVar[str] = "mtljobs.tasks.segmentation:Segmentation"
    version: ClassVar[int] = 1
    metrics: ClassVar[tuple[str, ...]] = ("miou", "pixel_accuracy")
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    arrays: ClassVar[dict[str, tuple[str, ...]]] = {"confusion": ("label", "prediction")}
    score: ClassVar[str] = (
        "mean logit of the class over the pixels that the network itself gives it on the clean "
        "image, as a share of the clean image's: above 1 where it rises"
    )

    name: Literal["segmentation"]

    def channels(self, info: DatasetInfo) -> int:
        """Output channels of the network: one logit per class."""
        return len(info.class_names)

    def groups(self, info: DatasetInfo) -> tuple[str, ...]:
        """What explanations are about: the classes."""
        return info.class_names


@dataclass(**DECLARED)
class Depth:
    """Distance per pixel. Groups are equal bins of depth / `DatasetInfo.depth_scale` in [0, 1].

    Metrics: `abs_error` in `DatasetInfo.depth_unit`, `rel_error` a fraction.

    Attributes:
        bins: Number of equal bins; the study's "quintiles" are 5.
    """

    implementation: ClassVar[str] = "mtljobs.tasks.depth:Depth"
    version: ClassVar[int] = 1
    metrics: ClassVar[tuple[str, ...]] = ("abs_error", "rel_error")
    lower_is_better: ClassVar[tuple[str, ...]] = ("abs_error", "rel_error")
    arrays: ClassVar[dict[str, tuple[str, ...]]] = {}
    score: ClassVar[str] = (
        "1 less the mean relative change, up or down, of the depth over the pixels that the "
        "network puts into the bin on the clean image, and at least 0"
    )

    name: Literal["depth"]
    bins: Annotated[int, Field(ge=1, le=64)] = field(default=5, metadata=EXPLAINS)

    def channels(self, info: DatasetInfo) -> int:
        """Output channels of the network: the depth."""
        return 1

    def groups(self, info: DatasetInfo) -> tuple[str, ...]:
        """What explanations are about: the bins, smallest depth (or disparity) first."""
        return tuple(f"{i / self.bins:.2f}-{(i + 1) / self.bins:.2f}" for i in range(self.bins))


@dataclass(**DECLARED)
class Normals:
    """A unit vector per pixel. Groups are the eight octants, named by the signs of x, y, z.

    Metrics: angles in degrees; `within_*` the fraction of pixels below 11.25, 22.5 and 30 degrees.
    """

    implementation: ClassVar[str] = "mtljobs.tasks.normals:Normals"
    version: ClassVar[int] = 1
    metrics: ClassVar[tuple[str, ...]] = (
        "angle_mean", "angle_median", "within_11", "within_22", "within_30",
    )  # fmt: skip
    lower_is_better: ClassVar[tuple[str, ...]] = ("angle_mean", "angle_median")
    arrays: ClassVar[dict[str, tuple[str, ...]]] = {}
    score: ClassVar[str] = (
        "mean cosine between the normals and those of the clean image, over the pixels whose "
        "clean normal lies in the octant: at most 1"
    )

    name: Literal["normals"]

    def channels(self, info: DatasetInfo) -> int:
        """Output channels of the network: x, y and z."""
        return 3

    def groups(self, info: DatasetInfo) -> tuple[str, ...]:
        """What explanations are about: `+++`, `++-`, ... `---`; a component of 0 counts as +."""
        return tuple(x + y + z for x in "+-" for y in "+-" for z in "+-")


TaskChoice = Annotated[Segmentation | Depth | Normals, Field(discriminator="name")]

SCORES = {"segmentation": Segmentation.score, "depth": Depth.score, "normals": Normals.score}
"""What the curves of a task follow, by its name."""
