"""Which images a training step sees: a function of seed and iteration, never of a worker."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import default_collate

from mtljobs.contracts import Batch, Dataset, Sample
from mtljobs.data.augment import Augmentation
from mtljobs.errors import MtljobsError
from mtljobs.settings import derive_seed

Key = tuple[int, int]
"""(epoch, position in the data set): all that an augmented sample depends on, besides the seed."""


class EpochBatches:
    """Batches of keys for the iterations from `start` to `stop`, whole batches only.

    Every epoch is a permutation of its own; the images that do not fill its last batch are left
    out of that epoch.

    Example:
        >>> whole = list(EpochBatches(count=5, batch=2, seed=0, start=0, stop=4))
        >>> list(EpochBatches(count=5, batch=2, seed=0, start=3, stop=4)) == whole[3:]
        True
    """

    def __init__(self, *, count: int, batch: int, seed: int, start: int, stop: int) -> None:
        self.count = count
        self.batch = batch
        self.seed = seed
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        per_epoch = self.count // self.batch
        order: np.ndarray = np.empty(0)
        known_epoch = -1
        for iteration in range(self.start, self.stop):
            epoch, position = divmod(iteration, per_epoch)
            if epoch != known_epoch:
                generator = np.random.default_rng(derive_seed(self.seed, "order", epoch))
                order, known_epoch = generator.permutation(self.count), epoch
            chosen = order[position * self.batch : (position + 1) * self.batch]
            yield [(epoch, int(index)) for index in chosen]


class EpochSamples:
    """A data set seen through keys: the same key gives the same, augmented, sample anywhere."""

    def __init__(self, dataset: Dataset, *, seed: int, augmentation: Augmentation) -> None:
        self.dataset = dataset
        self.seed = seed
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample | Exception:
        """The sample of a key, or the error that making it raised.

        Of an error that a loader process raises, torch makes its traceback the message, and keeps
        the process: it hears no SIGTERM, and this process would wait for it for ever.
        """
        epoch, index = key
        try:
            return self.augmentation(
                self.dataset[index], lambda purpose: derive_seed(self.seed, purpose, epoch, index)
            )
        except MtljobsError as error:
            return error
        except Exception:
            return RuntimeError(traceback.format_exc())


def collate(samples: Sequence[Sample | Exception]) -> Batch | Exception:
    """A batch of samples, or the first error among them."""
    for sample in samples:
        if isinstance(sample, Exception):
            return sample
    batch: Batch = default_collate(list(samples))
    return batch
