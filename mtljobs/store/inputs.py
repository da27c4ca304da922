"""Superpixels and previews: copied once from what runs share into the store of one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtljobs.contracts import ExperimentLayout
from mtljobs.errors import CorruptionError
from mtljobs.ledger.commit import commit
from mtljobs.ledger.files import read_json
from mtljobs.ledger.paths import RunFolder
from mtljobs.ledger.records import RECORD, make_record, read_record
from mtljobs.store.sources import FolderSource, check_file
from mtljobs.store.staging import Staging


def inputs_name(experiment: str, layout: ExperimentLayout) -> str:
    """Name under which the copy for an experiment stands in the run's ledger."""
    return f"inputs-{experiment}-{layout.inputs[:12]}"


def commit_inputs(
    run: RunFolder,
    source: Path,
    *,
    experiment: str,
    layout: ExperimentLayout,
    staging: Staging,
) -> None:
    """Commit to the run what an experiment shows of its inputs, like any other shard's results.

    Does nothing where that was done, or where the superpixels are not there yet.

    Args:
        run: Where the store is.
        source: Finished superpixels: `segments.npy` (image, row, column), `n_segments.npy`
            (image), `images.json` (the ids, in order) and, where allowed, `preview.npy` (image,
            row, column, rgb).
        experiment: Name of the experiment.
        layout: Which images it shows.
        staging: On the same file system; nobody else's.

    Raises:
        CorruptionError: The superpixels are not those of their record.
    """
    name = inputs_name(experiment, layout)
    merged = run.ledger / f"{name}.json"
    if merged.exists() or (run.committed / name).exists():
        return
    try:
        record = read_record(source / RECORD)
    except FileNotFoundError:
        return
    for file, (sha256, size) in record.files.items():
        check_file(FolderSource(source), file, sha256=sha256, size=size)
    for array, values in read_inputs(source, layout):
        staging.write(f"{experiment}/inputs", array, values, sparsity=0, seed=0)
    copy = make_record(staging.folder, shard=name, identity=layout.inputs, versions=record.versions)
    commit(staging.folder, run.committed / name, copy, merged=merged)


def read_inputs(source: Path, layout: ExperimentLayout) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of an experiment's `inputs`, by name, from finished superpixels.

    Args:
        source: As `commit_inputs` says.

    Raises:
        CorruptionError: They lack one of the layout's images.
    """
    places = {image: place for place, image in enumerate(read_json(source / "images.json"))}
    missing = [image for image in layout.images if image not in places]
    if missing:
        raise CorruptionError(f"{source} lacks the images {', '.join(missing)} that a run shows")
    chosen = [places[image] for image in layout.images]
    for name in ("segments", "n_segments"):
        values = np.load(source / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        yield name, values[chosen]
    if layout.previews:
        values = np.load(source / "preview.npy", mmap_mode="r", allow_pickle=False)
        yield "preview", values[chosen[: layout.previews]]
