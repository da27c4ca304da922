"""From a published data set's own files to parts that samples are read from, and `dataset.json`.

Every part is written aside and renamed under a name that holds its hash, so that nothing that is
in use is ever overwritten; a journal says which parts are done. Killed at any moment and started
again, `prepare` goes on after the last finished part and ends with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtljobs.contracts import DatasetInfo, Progress
from mtljobs.data.exclusive import only_one
from mtljobs.data.parts import Part
from mtljobs.data.sources.layouts import find_layout, open_source
from mtljobs.data.sources.source import Contents, Source
from mtljobs.data.validation import cut_validation
from mtljobs.data.writing import PartJob, PartRecord, run_jobs
from mtljobs.errors import CorruptionError, DataError, UserError
from mtljobs.ledger.files import read_json, replace_file, to_json
from mtljobs.ledger.paths import Workspace, create_folder
from mtljobs.plan.datasets import info_path, prepared_before, write_info
from mtljobs.settings.base import digest
from mtljobs.settings.data import IDENTIFIER
from mtljobs.settings.sizes import parse_size, size_name

FORMAT = 1
"""Raised when the same files would be prepared as other bytes."""

PART_IMAGES = 64

VALIDATION = 0.1
"""Fraction of the training images that validate unless the user says otherwise."""

NYUV2_DEPTH_SCALE = 10.0
"""Metres; the reach of the sensor."""


def prepare(
    data_set: str,
    root: Path,
    *,
    workspace: Workspace,
    dataset_id: str,
    layout: str | None,
    sizes: Sequence[tuple[int, int]],
    validation: float | None,
    jobs: int,
    progress: Progress,
) -> DatasetInfo:
    """Prepare a published data set, or what is still missing of it.

    Args:
        data_set: "nyuv2" or "cityscapes".
        root: Folder of its files.
        layout: How they are laid out; None: told from the folder.
        sizes: To resize to; none: the native size. Sizes that were prepared before are kept.
        validation: Fraction of the training images that validate; None: as before, at first 0.1.
        jobs: Processes.

    Returns:
        What `dataset.json` says now.

    Raises:
        DataError: A file is not what it should be.
        UserError: The id is another data set's, somebody else is preparing it, or a size is larger
            than the files' own.
    """
    if not re.fullmatch(IDENTIFIER, dataset_id):
        raise UserError(
            f"{dataset_id!r} cannot name a data set: an id begins with a letter or digit and goes "
            "on with letters, digits, '-' and '_'. Choose another --id."
        )
    layout = find_layout(data_set, root, layout)
    source = open_source(data_set, root, layout)
    native = _native_size(source, root)
    _refuse_enlarging(sizes, native)
    folder = info_path(workspace, dataset_id).parent
    with only_one(folder):  # what was prepared before is read here, or another may add to it
        before = prepared_before(workspace, dataset_id, data_set)
        if validation is None:
            validation = before.description["validation"] if before else VALIDATION
        splits = _with_validation(source.contents, validation)
        old_sizes = map(parse_size, before.description["sizes"]) if before else ()
        parts = [
            job
            for size in sorted({*old_sizes, *(sizes or [native])})
            for job in _cut_into_parts(data_set, root, source, size=size)
        ]
        done = _write_missing(folder, parts, jobs=jobs, progress=progress)
        info = _describe(
            source.contents,
            splits,
            done,
            data_set=data_set,
            dataset_id=dataset_id,
            validation=validation,
        )
        write_info(workspace, info)
        _remove_others(folder, done)
    return info


def _refuse_enlarging(sizes: Sequence[tuple[int, int]], native: tuple[int, int]) -> None:
    for size in sizes:
        if size[0] > native[0] or size[1] > native[1]:
            raise UserError(
                f"--size {size_name(size)} is larger than the images, which have "
                f"{size_name(native)}: enlarged, they would show no more. Ask for a smaller size."
            )


def _native_size(source: Source, root: Path) -> tuple[int, int]:
    """(rows, columns) of the images in a folder that is as a whole what it should be.

    Raises:
        DataError: It is not; says the first things that are wrong.
    """
    first, more = source.problems[:3], len(source.problems) - 3
    if first:
        others = f" And {more} more; `mtljobs data check` lists them." if more > 0 else ""
        raise DataError(" ".join(first) + others)
    if not all(source.contents.splits[split] for split in ("train", "test")):
        raise DataError(f"{root} holds no images for train or none for test; both are needed.")
    if source.contents.size is None:
        raise DataError(f"no image in {root} can be read; `mtljobs data check` says why.")
    return source.contents.size


def _with_validation(contents: Contents, fraction: float) -> dict[str, tuple[str, ...]]:
    """The splits, with a validation part cut from train unless the files have one."""
    splits = {"train": contents.splits["train"], "validation": (), "test": contents.splits["test"]}
    if "validation" in contents.splits:
        return {**splits, "validation": contents.splits["validation"]}
    validation = cut_validation(splits["train"], contents.scenes, fraction=fraction)
    cut = set(validation)
    splits["train"] = tuple(image for image in splits["train"] if image not in cut)
    return {**splits, "validation": validation}


def _cut_into_parts(
    data_set: str, root: Path, source: Source, *, size: tuple[int, int]
) -> Iterator[PartJob]:
    """Parts follow the files' own splits: another validation part changes none of them."""
    for split, images in source.contents.splits.items():
        for number, begin in enumerate(range(0, len(images), PART_IMAGES)):
            members = images[begin : begin + PART_IMAGES]
            yield PartJob(
                data_set=data_set,
                root=root,
                layout=source.contents.layout,
                size=size,
                split=split,
                number=number,
                images=members,
                stamp=digest([FORMAT, data_set, source.contents.layout, size, members,
                              _file_states(source, members)]),
            )  # fmt: skip


def _file_states(source: Source, images: Sequence[str]) -> list[list[Any]]:
    """Name, size and time of every file behind some images: what tells that one has changed."""
    files = dict.fromkeys(path for image in images for path in source.files(image))
    states = []
    for path in files:
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}).") from error
        states.append([str(path), state.st_size, state.st_mtime_ns])
    return states


def _write_missing(
    folder: Path, parts: Sequence[PartJob], *, jobs: int, progress: Progress
) -> dict[PartJob, PartRecord]:
    """Write the parts that are not there; what stands for each of them."""
    journal = _Journal(folder / "parts.json")
    done = {job: record for job in parts if (record := journal.find(folder, job))}
    total = sum(len(job.images) for job in parts)
    count = sum(len(job.images) for job in done)
    missing = [job for job in parts if job not in done]
    aside = create_folder(folder / "aside")
    progress(count, total, "images")
    for job, written, record in run_jobs(missing, aside=aside, processes=jobs):
        create_folder((folder / record.file).parent)
        written.replace(folder / record.file)
        journal.add(job, record)
        done[job] = record
        count += len(job.images)
        progress(count, total, "images")
    return {job: done[job] for job in parts}


class _Journal:
    """Which parts are done: stamp of a job -> its record. Not part of the data set's identity."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._entries: dict[str, Any] = read_json(path)
        except (FileNotFoundError, CorruptionError):
            self._entries = {}

    def find(self, folder: Path, job: PartJob) -> PartRecord | None:
        """The record of a job whose part is there and whole."""
        if job.stamp not in self._entries:
            return None
        record = PartRecord(**self._entries[job.stamp])
        try:
            whole = Part(folder / record.file, record.sha256).is_whole()
        except DataError:
            return None
        return record if whole else None

    def add(self, job: PartJob, record: PartRecord) -> None:
        self._entries[job.stamp] = vars(record)
        replace_file(self._path, to_json(self._entries))


def _describe(
    contents: Contents,
    splits: Mapping[str, tuple[str, ...]],
    done: Mapping[PartJob, PartRecord],
    *,
    data_set: str,
    dataset_id: str,
    validation: float,
) -> DatasetInfo:
    scale = _depth_scale(contents, done)
    meaning = digest(
        [FORMAT, data_set, contents.class_names, contents.tasks, contents.facts,
         contents.depth_unit, scale, splits]
    )  # fmt: skip
    sizes = _sizes(done, meaning)
    return DatasetInfo(
        id=dataset_id,
        splits=splits,
        class_names=contents.class_names,
        tasks=contents.tasks,
        size=contents.size,
        depth_unit=contents.depth_unit,
        depth_scale=scale,
        sha256=digest([size["sha256"] for size in sizes.values()]),
        description={
            "name": data_set,
            "layout": contents.layout,
            "classes": len(contents.class_names),
            "validation": validation,
            **contents.facts,
            "sizes": sizes,
        },
        preview_allowed=False,
    )


def _depth_scale(contents: Contents, done: Mapping[PartJob, PartRecord]) -> float:
    """Metres: the sensor's reach. Disparity: the largest of the files' training split."""
    if contents.depth_unit == "m":
        return NYUV2_DEPTH_SCALE
    return max(record.depth_max for job, record in done.items() if job.split == "train") or 1.0


def _sizes(done: Mapping[PartJob, PartRecord], meaning: str) -> dict[str, Any]:
    """Size -> its parts, and the hash that identifies samples of that size."""
    sizes: dict[str, Any] = {}
    for job, record in done.items():
        parts = sizes.setdefault(size_name(job.size), {"parts": []})["parts"]
        parts.append({"file": record.file, "sha256": record.sha256, "images": job.images})
    for size in sizes.values():
        hashes = [[part["sha256"], part["images"]] for part in size["parts"]]
        size["sha256"] = digest([meaning, hashes])
    return sizes


def _remove_others(folder: Path, done: Mapping[PartJob, PartRecord]) -> None:
    """Remove parts that `dataset.json` does not name any more."""
    named = {folder / record.file for record in done.values()}
    for path in folder.glob("*/*.part"):
        if path not in named:
            path.unlink()
