"""Parts written by several processes at a time."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mtljobs.contracts import Sample
from mtljobs.data.parts import write_part
from mtljobs.data.resizing import resize
from mtljobs.data.sources.layouts import open_source
from mtljobs.data.sources.source import Source, read_sample
from mtljobs.errors import UserError
from mtljobs.settings.sizes import size_name

NORMALS_REACH = 5
"""Of the window that normals are computed in, in native pixels; see `normals_from_depth`."""


@dataclass(frozen=True)
class PartJob:
    """One part to be written.

    Attributes:
        split: Of the files, before a validation part is cut.
        number: Within the split.
        stamp: Of the job and the state of the files that it reads.
    """

    data_set: str
    root: Path
    layout: str
    size: tuple[int, int]
    split: str
    number: int
    images: tuple[str, ...]
    stamp: str


@dataclass(frozen=True)
class PartRecord:
    """A part that was written.

    Attributes:
        file: Path below the data set's folder; its name holds the hash.
        sha256: Of the part's index.
        depth_max: Largest native depth or disparity of its images.
    """

    file: str
    sha256: str
    depth_max: float


def run_jobs(
    jobs: Sequence[PartJob], *, aside: Path, processes: int
) -> Iterator[tuple[PartJob, Path, PartRecord]]:
    """Write parts into a folder; each job as it ends, with the file and what it is to be called.

    Raises:
        DataError: An image cannot be read; no further part is begun.
        UserError: A process was killed.
    """
    _opened.cache_clear()  # the files may have changed since
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, *write_job(job, aside)
        return
    # Not fork: HDF5 and blosc keep state and threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(processes, len(jobs)), mp_context=context, initializer=_end_with_parent
    ) as pool:
        running = {pool.submit(write_job, job, aside): job for job in jobs}
        try:
            for future in as_completed(running):
                yield running[future], *future.result()
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {processes} processes was killed while it read images, most likely as "
                "memory ran out: start again with fewer --jobs. What is finished stays."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def write_job(job: PartJob, aside: Path) -> tuple[Path, PartRecord]:
    """Write one part aside."""
    path = aside / f"{secrets.token_hex(8)}.part"
    samples = _Samples(job)
    try:
        sha256 = write_part(path, samples)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    name = f"{size_name(job.size)}/{job.split}-{job.number:03d}-{sha256[:12]}.part"
    return path, PartRecord(name, sha256, samples.depth_max)


@dataclass
class _Samples:
    """The samples of a job, resized, and the largest native depth that went by."""

    job: PartJob
    depth_max: float = field(default=0.0, init=False)

    def __iter__(self) -> Iterator[tuple[str, Sample]]:
        source = _opened(self.job.data_set, self.job.root, self.job.layout)
        for image in self.job.images:
            sample = read_sample(source, image)
            if "depth" in sample:
                self.depth_max = max(self.depth_max, float(sample["depth"].max()))
            camera = source.contents.camera
            yield image, resize(sample, self.job.size, camera=camera, reach=NORMALS_REACH)


@lru_cache(maxsize=1)
def _opened(data_set: str, root: Path, layout: str) -> Source:
    """The source, surveyed once per process and not once per part."""
    return open_source(data_set, root, layout)


def _end_with_parent() -> None:
    """Let no process of a pool outlive a `prepare` that was killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
