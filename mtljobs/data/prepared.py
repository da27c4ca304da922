"""A published data set as `mtljobs data prepare` left it in the workspace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtljobs.contracts import DatasetInfo, Sample, Split
from mtljobs.data.cache import SampleCache
from mtljobs.data.parts import VOID, decode_stored, open_part
from mtljobs.errors import DataError
from mtljobs.settings.data import COARSER
from mtljobs.settings.sizes import size_name


class Prepared:
    """One split of a prepared data set at one of its sizes.

    Images have 8 bits, labels are brought to the wanted classes as they are read. The first 512
    MiB of samples stay in memory.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the settings' field)
        size: tuple[int, int],
        classes: int,
        info: DatasetInfo,
        split: Split,
        root: Path | None,
    ) -> None:
        """A split; files are opened when a sample is asked for.

        Args:
            root: The folder of `dataset.json`, or a copy of it.

        Raises:
            DataError: The set is not prepared.
        """
        if root is None or info.sha256 is None:
            raise DataError(
                f"the data set {id!r} is not prepared: `mtljobs data prepare` reads its files "
                "once, and writes what samples are read from."
            )
        self._ids = info.splits[split]
        self._parts = {
            image: (root / part["file"], part["sha256"])
            for part in info.description["sizes"][size_name(size)]["parts"]
            for image in part["images"]
        }
        self._labels = _reduction(info.description["classes"], classes)
        self._cache = SampleCache(len(self._ids))

    def __len__(self) -> int:
        return len(self._cache)

    def __getitem__(self, index: int) -> Sample:
        return self._cache.get(index, self._load)

    def _load(self, index: int) -> Sample:
        image = self._ids[index]
        return decode_stored(open_part(*self._parts[image]).read(image), self._labels)


def _reduction(finest: int, wanted: int) -> np.ndarray:
    """Label of each of the 256 values in a file; -1 for void."""
    labels = np.full(VOID + 1, -1, np.int64)
    labels[:finest] = range(finest) if wanted == finest else COARSER[finest, wanted]
    return labels
