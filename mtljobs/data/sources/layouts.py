"""Which layouts of files are known, and which one a folder has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mtljobs.data.sources import cityscapes_official, nyuv2_adashare, nyuv2_official
from mtljobs.data.sources.mtan import MTAN
from mtljobs.data.sources.source import Source
from mtljobs.errors import DataError, nearest


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set's files.

    Attributes:
        marker: What lies in the folder, and in those of no other layout.
        tree: What should lie there, for people.
        open: Makes the source of a folder.
    """

    marker: str
    tree: str
    open: Callable[[Path], Source]


LAYOUTS: Mapping[str, Mapping[str, Layout]] = {
    "nyuv2": {
        "official": Layout(
            nyuv2_official.MAT,
            f"{nyuv2_official.MAT}, splits.mat and classMapping40.mat",
            nyuv2_official.Official,
        ),
        "mtan": Layout(
            "train/image",
            "train and val, each with image, label, depth and normal full of 0.npy and on",
            partial(MTAN, data_set="nyuv2"),
        ),
        "adashare": Layout(
            nyuv2_adashare.LIST,
            f"{nyuv2_adashare.LIST} and the PNG and NPY files that it names",
            nyuv2_adashare.AdaShare,
        ),
    },
    "cityscapes": {
        "official": Layout(
            "leftImg8bit",
            "leftImg8bit, gtFine and disparity, each with train and val",
            cityscapes_official.Official,
        ),
        "mtan": Layout(
            "train/image",
            "train and val, each with image, label_19 or label_7, and depth full of 0.npy and on",
            partial(MTAN, data_set="cityscapes"),
        ),
    },
}
"""Data set -> name of a layout -> layout."""


def find_layout(data_set: str, root: Path, layout: str | None) -> str:
    """Name of the layout that a folder has.

    Args:
        layout: What the user says it is.

    Raises:
        DataError: It has none or several, or not the one that it is said to have.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; --root is where the files of {data_set} are.")
    known = LAYOUTS[data_set]
    if layout is not None and layout not in known:
        raise DataError(f"{data_set} has no layout {layout!r}{nearest(layout, known)}.")
    found = [name for name, entry in known.items() if (root / entry.marker).exists()]
    if layout in found or (layout is None and len(found) == 1):
        return layout or found[0]
    if layout is None and found:
        raise DataError(
            f"{root} holds the layouts {' and '.join(found)} of {data_set}: say which one with "
            "--layout."
        )
    names = sorted(path.name for path in root.iterdir())
    expected = "; or ".join(
        f"{entry.tree} ({name})" for name, entry in known.items() if layout in (None, name)
    )
    raise DataError(
        f"{root} is not laid out as {data_set} is: it holds {', '.join(names[:8]) or 'nothing'}"
        f"{', ...' if len(names) > 8 else ''}; expected {expected}. --root is the folder that "
        "holds them directly."
    )


def open_source(data_set: str, root: Path, layout: str) -> Source:
    """The files of a folder whose layout is known."""
    return LAYOUTS[data_set][layout].open(root)
