"""Stage `segment`: the superpixels of a whole test split, once for every network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from mtljobs.errors import GridError, StopRequested
from mtljobs.settings import build
from mtljobs.settings.base import restore
from mtljobs.settings.explain import SuperpixelsChoice
from mtljobs.stages.materials import apply_numerics, open_dataset, open_info
from mtljobs.stages.work import Work


def run(work: Work) -> None:
    """Write `segments.npy`, `n_segments.npy`, `preview.npy` and `images.json`."""
    apply_numerics(work)
    info = open_info(work)
    dataset = open_dataset(work, info, "test")
    method = build(restore(SuperpixelsChoice, work.shard.spec["superpixels"]))
    segments, previews = [], []
    for index, image_id in enumerate(info.splits["test"]):
        if work.stop():
            raise StopRequested("stopped while making superpixels; they start over")
        image = dataset[index]["image"]
        segments.append(method.segments(image))
        _check_room(segments[-1], image_id, work.shard.spec["segments_max"])
        previews.append(np.round(np.moveaxis(image, 0, -1) * 255).astype(np.uint8))
        work.progress(index + 1, len(dataset), "images")
    counts = np.array([labels.max() + 1 for labels in segments], dtype=np.uint16)
    _save(work.output / "segments.npy", np.stack(segments).astype(np.uint16))
    _save(work.output / "n_segments.npy", counts)
    if info.preview_allowed:
        _save(work.output / "preview.npy", np.stack(previews))
    (work.output / "images.json").write_text(json.dumps(info.splits["test"]), encoding="utf-8")


def _save(path: Path, values: np.ndarray) -> None:
    """Write a file by way of memory: np.save does not say that it was the disk that was full."""
    content = io.BytesIO()
    np.save(content, values)
    path.write_bytes(content.getbuffer())


def _check_room(segments: np.ndarray, image_id: str, room: int) -> None:
    count = int(segments.max()) + 1
    if count > room:
        raise GridError(
            f"image {image_id!r} has {count} superpixels, but the store has room for {room}: set "
            f"explain.segments_max to {count} or more, and submit to another run."
        )
