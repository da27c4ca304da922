"""Samples kept in memory: a training sees each image again and again."""

from __future__ import annotations

from collections.abc import Callable

from mtljobs.contracts import Sample

LIMIT_BYTES = 512 * 2**20
"""Per process and split; 3,600 images of 64 x 64 or 128 of 288 x 384 with three targets."""


class SampleCache:
    """The first samples of a split that were asked for, until `LIMIT_BYTES` are full; then no more.

    Nothing is ever dropped: under a random order, each sample kept saves as much as any other.

    Args:
        length: Images of the split.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._samples: dict[int, Sample] = {}
        self._free = LIMIT_BYTES

    def __len__(self) -> int:
        return self._length

    def get(self, index: int, make: Callable[[int], Sample]) -> Sample:
        """The sample at an index, made if it is not there; the caller may write to the arrays.

        Raises:
            IndexError: The split has no such image.
        """
        if not 0 <= index < self._length:
            raise IndexError(f"the split has {self._length} images, asked for {index}")
        if index not in self._samples:
            sample = make(index)
            size = sum(array.nbytes for array in sample.values())
            if size > self._free:
                return sample
            self._samples[index] = sample
            self._free -= size
        return {name: array.copy() for name, array in self._samples[index].items()}
