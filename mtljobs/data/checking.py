"""All that is wrong with a folder of images, file by file, in words; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mtljobs.contracts import DatasetInfo, Progress
from mtljobs.data.description import read_description
from mtljobs.data.sources.described import DescribedFiles
from mtljobs.data.sources.layouts import find_layout, open_source
from mtljobs.data.sources.source import Contents, Source, find_faults
from mtljobs.errors import DataError
from mtljobs.settings.data import PUBLISHED


def check(what: str, root: Path, *, layout: str | None, progress: Progress) -> Iterator[str]:
    """What is wrong, a sentence or two each, as it is found.

    Args:
        what: A published data set, or the path of a description.
        layout: Of the published set; None: told from the folder.
    """
    try:
        if what in PUBLISHED:
            yield from _check_published(what, root, layout=layout, progress=progress)
        else:
            yield from _check_described(Path(what), root, progress=progress)
    except DataError as error:  # so wrong that there is nothing else to look at
        yield str(error)


def _check_published(
    data_set: str, root: Path, *, layout: str | None, progress: Progress
) -> Iterator[str]:
    source = open_source(data_set, root, find_layout(data_set, root, layout))
    yield from source.problems
    yield from _gaps(source.contents, PUBLISHED[data_set].published())
    yield from _check_images(source, progress)


def _check_described(description: Path, root: Path, *, progress: Progress) -> Iterator[str]:
    source = DescribedFiles(read_description(description), root)
    yield from source.problems
    yield from _check_images(source, progress)


def _check_images(source: Source, progress: Progress) -> Iterator[str]:
    images = source.contents.images
    for done, image in enumerate(images, start=1):
        yield from find_faults(source, image)
        progress(done, len(images), "images")


def _gaps(contents: Contents, published: DatasetInfo) -> Iterator[str]:
    """What the published set has and this folder has not; it can be prepared all the same."""
    for task in published.tasks:
        if task not in contents.tasks:
            yield (
                f"there are no {task} in this folder: it can be prepared, but an experiment that "
                f"asks for {task} is refused."
            )
    found = {split: len(ids) for split, ids in contents.splits.items()}
    found["train"] += found.get("validation", 0)
    for split in ("train", "test"):
        if found[split] != len(published.splits[split]):
            yield (
                f"there are {found[split]} images for {split}, the published set has "
                f"{len(published.splits[split])}: it can be prepared, but is it all there?"
            )
