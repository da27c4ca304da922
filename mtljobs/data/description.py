"""The TOML that describes a folder of images: where each field's files are, what values mean.

id = "desk"

[image]
files = "{id}-color.png"        # relative to the folder; ids may contain slashes

[segmentation]
files = "{id}-label.png"
classes = ["background", "mug", "book"]
ignore = [255]

[depth]
files = "{id}-depth.png"
scale = 0.001                   # metres per file value
max = 4.0                       # depth that the explanation's bins map to 1

[camera]                        # with depth in metres: normals without files of their own
fx = 518.9
fy = 519.5
cx = 325.6
cy = 253.7

[split]
test = ["kitchen/*"]
"""

from __future__ import annotations

import glob
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from mtljobs.data.geometry import Camera
from mtljobs.errors import DataError, nearest
from mtljobs.plan.problems import explain_problems
from mtljobs.settings.base import DECLARED

LOSSLESS = (".npy", ".png")
LOSSY = (".jpeg", ".jpg")


def _checked(pattern: str, *, suffixes: tuple[str, ...]) -> str:
    if "{id}" not in pattern or set("{}") & set(pattern.replace("{id}", "")):
        raise ValueError(f"{pattern!r} should name a file with {{id}} in it and no other braces")
    path = Path(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{pattern!r} should be relative to the folder and stay inside it")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{pattern!r} should end in one of {', '.join(suffixes)}")
    return pattern


def _lossless(pattern: str) -> str:
    return _checked(pattern, suffixes=LOSSLESS)


def _any_image(pattern: str) -> str:
    return _checked(pattern, suffixes=LOSSLESS + LOSSY)


Pattern = Annotated[str, AfterValidator(_lossless)]
"""Path of a field's file with {id} in place of the image's id."""

Direction = Literal["right", "left", "down", "up", "away", "towards"]
"""Of an axis, as the camera sees it."""

AXES: Mapping[Direction, tuple[int, float]] = {
    "right": (0, 1.0), "left": (0, -1.0),
    "down": (1, 1.0), "up": (1, -1.0),
    "away": (2, 1.0), "towards": (2, -1.0),
}  # fmt: skip
"""Direction -> which of our axes (x right, y down, z away from the camera), and its sign."""


@dataclass(**DECLARED)
class ImageFiles:
    """The images: `row column` or `row column channel`, grey, RGB or RGBA (alpha is ignored).

    Attributes:
        scale: Makes a file's values lie in [0, 1]; None: 1/255 for 8-bit and 1/65535 for 16-bit
            integers, 1 for floats.
    """

    files: Annotated[str, AfterValidator(_any_image)]
    scale: Annotated[float, Field(gt=0)] | None = None


@dataclass(**DECLARED)
class SegmentationFiles:
    """Labels: `row column`, whole numbers.

    Attributes:
        classes: Names; a label is a position in this list.
        ignore: File values that mean "not labelled".
        offset: Added to every other file value to make it a label.
    """

    files: Pattern
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    ignore: tuple[int, ...] = ()
    offset: int = 0

    @field_validator("classes")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"each class needs a name of its own, received twice: {twice[0]!r}")
        return names


@dataclass(**DECLARED)
class DepthFiles:
    """Depth along the optical axis, or disparity: `row column`, 0 where missing.

    Attributes:
        max: Depth, after scaling, that the explanation's bins map to 1.
        scale: Metres (or pixels of disparity) per file value.
    """

    files: Pattern
    max: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)] = 1.0
    unit: Literal["m", "disparity"] = "m"


@dataclass(**DECLARED)
class Normals:
    """Surface normals: read from files, or computed from depth in metres and the camera.

    Attributes:
        files: `row column channel`; a vector shorter than 0.5 is missing. None: computed.
        zero: File value that means 0; 127.5 for 8-bit images.
        scale: Component per file value above zero; 1/127.5 for 8-bit images.
        axes: Where a file's three channels point.
        reach: Native pixels from a computed normal to the edge of its window.
    """

    files: Pattern | None = None
    zero: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0
    axes: tuple[Direction, Direction, Direction] = ("right", "down", "away")
    reach: Annotated[int, Field(ge=1, le=100)] = 5

    @field_validator("axes")
    @classmethod
    def _orthogonal(cls, axes: tuple[Direction, ...]) -> tuple[Direction, ...]:
        if len({AXES[direction][0] for direction in axes}) < 3:
            raise ValueError(f"three axes at right angles are needed, received {', '.join(axes)}")
        return axes


@dataclass(**DECLARED)
class SplitRule:
    """Which images train and which test.

    Frames of one video are near copies: keep them together, `test = ["kitchen/*"]`.

    Attributes:
        test: Ids, or shell patterns of ids. Empty: every `test_every`-th image in order of ids.
        validation: Ids or patterns; the images that are left train.
    """

    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test_every: Annotated[int, Field(ge=2)] = 5

    def assign(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The images of each split, in the order given.

        Raises:
            DataError: A pattern matches nothing, or the splits overlap, or train or test is empty.
        """
        validation = _matching(self.validation, ids)
        every = set(ids[self.test_every - 1 :: self.test_every])
        test = _matching(self.test, ids) if self.test else every - validation
        if both := sorted(test & validation):
            raise DataError(
                f"[split] puts {both[0]!r} into test and into validation; an image has one split."
            )
        members = {"train": set(ids) - test - validation, "validation": validation, "test": test}
        for split in ("train", "test"):
            if not members[split]:
                raise DataError(
                    f"[split] leaves none of the {len(ids)} images for {split}; change it or add "
                    "images."
                )
        return {
            split: tuple(name for name in ids if name in chosen)
            for split, chosen in members.items()
        }


def _matching(patterns: Sequence[str], ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in ids if fnmatchcase(name, pattern)}
        if not matches:
            raise DataError(f"[split]: no image id matches {pattern!r}{nearest(pattern, ids)}.")
        found |= matches
    return found


@dataclass(**DECLARED)
class Description:
    """A folder of images.

    Attributes:
        id: Name that `[resources.data]` maps to the folder.
        camera: At the images' native size.
        preview_allowed: False where the licence forbids copies of images in a result store.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    image: ImageFiles
    segmentation: SegmentationFiles | None = None
    depth: DepthFiles | None = None
    normals: Normals = Normals()
    camera: Camera | None = None
    split: SplitRule = SplitRule()
    preview_allowed: bool = True

    @property
    def computes_normals(self) -> bool:
        """Whether normals come from depth and the camera."""
        metric = self.depth is not None and self.depth.unit == "m"
        return self.normals.files is None and metric and self.camera is not None

    def patterns(self) -> dict[str, str]:
        """Field -> its files, for the fields that have files."""
        fields = {
            "image": self.image,
            "segmentation": self.segmentation,
            "depth": self.depth,
            "normals": self.normals,
        }
        return {name: field.files for name, field in fields.items() if field and field.files}

    def tasks(self) -> tuple[str, ...]:
        """The targets that every sample has."""
        named = self.patterns().keys() | ({"normals"} if self.computes_normals else set())
        return tuple(task for task in ("segmentation", "depth", "normals") if task in named)


def read_description(path: Path) -> Description:
    """The description in a TOML file.

    Raises:
        DataError: Unreadable, not TOML, or a key or value that does not belong there; says which
            and names the nearest valid ones.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise DataError(f"{path} is not a TOML file: {error}.") from error
    try:
        # By way of JSON, as grids are: strict, and arrays become tuples.
        text = json.dumps(table, default=str)
        described = TypeAdapter(Description).validate_json(text, strict=True)
    except ValidationError as error:
        raise DataError(f"{path}: {explain_problems(error.errors(), Description)}.") from error
    if not described.tasks():
        raise DataError(
            f"{path} describes images but no target: add one of [segmentation], [depth] and "
            "[normals] with its `files`."
        )
    return described


def find_ids(pattern: str, root: Path) -> tuple[str, ...]:
    """The ids of all files below a folder that match a pattern, sorted.

    Example:
        With `{id}-color.png`, the file `0001/000020-color.png` has the id `0001/000020`.
    """
    first, *others = (re.escape(part) for part in pattern.split("{id}"))
    whole = re.compile(f"{first}(?P<id>.+){'(?P=id)'.join(others)}")
    folder = pattern.partition("{id}")[0].rpartition("/")[0]
    below = glob.glob(  # noqa: PTH207 (Path.glob does not enter linked folders)
        f"{glob.escape(folder)}/**" if folder else "**", root_dir=root, recursive=True
    )
    matches = (whole.fullmatch(Path(path).as_posix()) for path in below)
    return tuple(sorted(match["id"] for match in matches if match))
