"""How fast prepared samples are read and augmented, with nothing in memory: target 150 images/s.

Per core, at 288 x 384 pixels, image and three targets, zoomed and mirrored as in training. The
files are in the page cache: what is measured is computing, not a disk. As a test it runs once,
small, and holds that what was read is what was written.
"""

from __future__ import annotations

import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mtljobs.contracts import Sample
from mtljobs.data.augment import Augmentation, flip
from mtljobs.data.parts import VOID, Part, decode_stored, write_part
from mtljobs.settings import build
from mtljobs.settings.data import Rooms
from mtljobs.worker import KEEP_MEMORY

LABELS = np.append(np.arange(VOID), -1)

FLIP = Augmentation(scales=(1.0,), flip=True, zoom="exact", depth_unit="m")
ZOOM_AND_FLIP = Augmentation(scales=(1.0, 1.2, 1.5), flip=True, zoom="exact", depth_unit="m")


def make_samples(count: int, size: tuple[int, int]) -> dict[str, Sample]:
    """Rooms, whose images have noise and whose targets have holes, as real ones do."""
    rooms = Rooms(name="rooms", size=size, train=count, test=1)
    dataset = build(rooms, info=rooms.info(), split="train", root=None)
    return {str(index): dataset[index] for index in range(count)}


def read_all(
    part: Part, images: list[str], augmentation: Augmentation, draw: Callable[[str], int]
) -> list[Sample]:
    """Read and augment every sample; only the last is kept, as a loader does."""
    last: list[Sample] = []
    for image in images:
        last = [augmentation(decode_stored(part.read(image), LABELS), draw)]
    return last


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    samples = make_samples(2, (32, 48))
    part = Part(tmp_path / "a.part", write_part(tmp_path / "a.part", samples.items()))
    (last,) = read_all(part, list(samples), FLIP, lambda _: 1)
    expected = flip(samples["1"])
    assert last.keys() == expected.keys()
    np.testing.assert_allclose(last["image"], expected["image"], atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(last["segmentation"], expected["segmentation"])
    np.testing.assert_array_equal(last["depth"], expected["depth"])
    np.testing.assert_allclose(last["normals"], expected["normals"], atol=2e-5)


def measure(size: tuple[int, int], augmentation: Augmentation, *, rounds: int) -> None:
    """Print images per second of one core, and bytes per image."""
    numbers = random.Random(0)
    samples = make_samples(32, size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.part"
        part = Part(path, write_part(path, samples.items()))
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            read_all(part, list(samples), augmentation, lambda _: numbers.getrandbits(32))
            times.append((time.process_time() - begin) / len(samples))
        print(
            f"{size[0]} x {size[1]}, zooms {augmentation.scales}: {1 / np.median(times):.0f} "
            f"images/s per core (best round {1 / min(times):.0f}), "
            f"{path.stat().st_size / len(samples) / 2**20:.2f} MiB per image"
        )


if __name__ == "__main__":
    if not KEEP_MEMORY.items() <= os.environ.items():  # glibc reads them as a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})  # noqa: S606
    print(f"{platform.processor() or platform.machine()}, numpy {np.__version__}, 1 thread")
    for augmentation in (FLIP, ZOOM_AND_FLIP):
        measure((288, 384), augmentation, rounds=20)
        measure((128, 256), augmentation, rounds=20)
