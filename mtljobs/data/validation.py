"""A validation part cut from the training images, by whole scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtljobs.errors import DataError
from mtljobs.settings.base import digest

BLOCK = 16
"""Images in a row that count as a scene where nothing says which scene they are of."""


def cut_validation(
    images: Sequence[str], scenes: Mapping[str, str], *, fraction: float
) -> tuple[str, ...]:
    """About a fraction of the images, such that no scene is on both sides.

    Scenes are taken in an order that depends on their names alone, as long as they fit. Without
    names, blocks of 16 images in a row are taken for scenes, since neighbours are often views of
    one room; only at the ends of blocks may a scene then be on both sides.

    Args:
        images: The training split, in its order.
        scenes: Image id -> scene; empty where unknown.
        fraction: Of the images, in [0, 1).

    Raises:
        DataError: No scene is small enough.

    Example:
        >>> cut_validation(["1", "2", "3"], {"1": "bath", "2": "bath", "3": "hall"}, fraction=0.4)
        ('3',)
    """
    members: dict[str, list[str]] = {}
    for place, image in enumerate(images):
        members.setdefault(scenes.get(image, f"block {place // BLOCK}"), []).append(image)
    wanted = min(round(fraction * len(images)), len(images) - 1)
    chosen: set[str] = set()
    for scene in sorted(members, key=digest):
        if len(chosen) + len(members[scene]) <= wanted:
            chosen.update(members[scene])
    if wanted and not chosen:
        smallest = min(len(part) for part in members.values())
        raise DataError(
            f"a validation part of {fraction:g} is {wanted} of {len(images)} training images, but "
            f"whole scenes are kept together and the smallest has {smallest}: ask for "
            f"--validation {(smallest + 0.5) / len(images):.2g} or more, or for 0."
        )
    return tuple(image for image in images if image in chosen)
