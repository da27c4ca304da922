"""Stage `segment`: the superpixels of a whole test split, once for every network."""

from __future__ import annotations

import json

import numpy as np

from mtljobs.errors import StopRequested
from mtljobs.ledger.files import write_bytes
from mtljobs.settings import build
from mtljobs.settings.base import restore
from mtljobs.settings.explain import SLIC
from mtljobs.stages.materials import apply_numerics, open_dataset, open_info
from mtljobs.stages.work import Work


def run(work: Work) -> None:
    """Write `segments.npy`, `n_segments.npy`, `preview.npy` and `images.json`."""
    apply_numerics(work)
    info = open_info(work)
    dataset = open_dataset(work, info, "test")
    method = build(restore(SLIC, work.shard.spec["superpixels"]))
    segments, previews = [], []
    for index in range(len(dataset)):
        if work.stop():
            raise StopRequested("stopped while making superpixels; they start over")
        image = dataset[index]["image"]
        segments.append(method.segments(image))
        previews.append(np.round(np.moveaxis(image, 0, -1) * 255).astype(np.uint8))
        work.progress(index + 1, len(dataset), "images")
    counts = np.array([labels.max() + 1 for labels in segments], dtype=np.uint16)
    np.save(work.output / "segments.npy", np.stack(segments).astype(np.uint16))
    np.save(work.output / "n_segments.npy", counts)
    if info.preview_allowed:
        np.save(work.output / "preview.npy", np.stack(previews))
    write_bytes(work.output / "images.json", json.dumps(info.splits["test"]).encode())
