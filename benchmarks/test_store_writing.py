"""How fast a shard's results are written, beside plain zarr-python: target 80 % of its rate.

    python benchmarks/test_store_writing.py [--rounds 7] [--folder /tmp]

writes what a shard explains, a block of 109 images x 13 groups with maps of 36 x 48 and room for
152 superpixels, again and again into either of two stores with the same metadata: by zarr-python
opened once and told nothing, which neither hashes nor syncs, and as a shard does. Prints what each
step of the shard adds: chunk files in a private folder; their SHA-256 in a record; fsync of every
file, and the rename that commits. Both take turns in one run; medians count, and of the ratio in
each round, by the clock and by the processor's time, which tells more where others compute too.
Then one merge checks each SHA-256 and moves all files, and another one finds nothing to do.

Half of the items have no curve, as half of the study's. As a test it runs once, small, and holds
that both stores have the same files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr

from benchmarks.paper_run import make_maps
from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.ledger.commit import commit, new_staging
from mtljobs.ledger.paths import RunFolder, Workspace
from mtljobs.ledger.records import make_record
from mtljobs.store.merge import merge
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.zarr_store import ZarrStore

NODE = "study/segmentation"
SHARD = ("chunk files", "SHA-256", "fsync and rename")
"""How a shard writes, step by step."""

Values = Mapping[str, np.ndarray]


def make_layout(*, images: int, groups: int, rounds: int) -> ExperimentLayout:
    """One task, and a cell of one block of images for every round."""
    names = tuple(f"class-{index}" for index in range(groups))
    return ExperimentLayout(
        sparsities=(0.0,),
        seeds=tuple(range(rounds)),
        images=tuple(f"test-{index:05d}" for index in range(images)),
        block=images,
        size=(288, 384),
        cam_size=(36, 48),
        segments_max=152,
        tasks={"segmentation": TaskLayout(names, ("miou",), (), {})},
        layers=("conv",),
        maps="native",
        map_images=images,
        previews=0,
        inputs="0" * 64,
        settings={},
    )


def make_block(layout: ExperimentLayout) -> dict[str, np.ndarray]:
    """What one shard explains: array -> values."""
    random = np.random.default_rng(0)
    items = (len(layout.images), len(layout.tasks["segmentation"].groups))
    ok = random.random(items) < 0.5
    parts = random.integers(60, layout.segments_max, (items[0], 1, 1))
    step = np.arange(layout.segments_max + 1)
    curves = np.exp(-4 * step / parts) + 0.02 * random.standard_normal((*items, len(step)))
    scores = random.random((*items, layout.segments_max))
    has_score = ok[..., None] & (step[:-1] < parts)
    maps = make_maps(items, layout.cam_size, random)
    return {
        "irof": np.where(ok[..., None] & (step <= parts), curves, np.nan).astype("float32"),
        "segment_score": np.where(has_score, scores, np.nan).astype("float32"),
        "order": np.where(has_score, np.argsort(-scores, axis=-1), 65535).astype("uint16"),
        "cam": np.where(ok[..., None, None], maps, np.nan).astype("float32"),
        "cam_max": np.where(ok, maps.max(axis=(-2, -1)), np.nan).astype("float32"),
        "status": np.where(ok, 1, 2).astype("uint8"),
    }


class Clock:
    """Seconds of each step in each round, by the clock and of the processor."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[np.ndarray]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin = np.array([time.perf_counter(), time.process_time()])
        yield
        taken = np.array([time.perf_counter(), time.process_time()]) - begin
        self.rounds.setdefault(name, []).append(taken)


def merge_layout(run: RunFolder, layout: ExperimentLayout) -> None:
    """Bring a run's store to its layout, and what was committed into it."""
    layouts = {"study": layout}
    workspace = Workspace(run.root.parent)
    report = merge(run, workspace, ZarrStore(), read_layouts=lambda: layouts, wait_s=0)
    assert not report.quarantined


def write_plain(store: Path, group: zarr.Group, values: Values, *, seed: int, clock: Clock) -> None:
    """A cell's results by zarr-python alone."""
    with clock.step("zarr-python"):
        for name, block in values.items():
            group[name][0, seed] = block
    with clock.step("fsync of zarr-python's files"):  # else the other side's fsync waits for them
        for path in store.rglob(f"c.0.{seed}.*"):
            with path.open("rb") as file:
                os.fsync(file.fileno())


def write_shard(
    run: RunFolder, layout: ExperimentLayout, values: Values, *, seed: int, clock: Clock
) -> None:
    """A cell's results as a shard writes them."""
    name = f"explain-study-0-{seed}-0"
    folder = new_staging(run.staging, name)
    files, hashes, committing = SHARD
    with clock.step(files):
        staging = Staging(folder, build_schema({"study": layout}), ZarrStore())
        for array, block in values.items():
            staging.write(NODE, array, block, sparsity=0, seed=seed, block=0)
    with clock.step(hashes):
        record = make_record(folder, shard=name, identity="a" * 64, versions={})
    with clock.step(committing):
        commit(folder, run.committed / name, record)


def write_both(folder: Path, layout: ExperimentLayout, values: Values) -> Clock:
    """Write every cell into two stores, `ours` and `plain`, in turns."""
    ours, plain = (Workspace(folder / name).run("study") for name in ("ours", "plain"))
    for run in (ours, plain):
        merge_layout(run, layout)
    group = zarr.open_group(plain.store, mode="r+", path=NODE)
    clock = Clock()
    for seed in layout.seeds:
        write_plain(plain.store, group, values, seed=seed, clock=clock)
        write_shard(ours, layout, values, seed=seed, clock=clock)
    for name in ("merge", "merge of nothing"):
        with clock.step(name):
            merge_layout(ours, layout)
    return clock


def test_shard_and_zarr_python_write_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    layout = make_layout(images=3, groups=2, rounds=1)
    write_both(tmp_path, layout, make_block(layout))
    ours, plain = (
        {path.relative_to(store): path.read_bytes() for path in store.rglob("c.*")}
        for store in (tmp_path / "ours/study/store.zarr", tmp_path / "plain/study/store.zarr")
    )
    assert ours == plain
    assert sum(name.parts[-2] in make_block(layout) for name in ours) == 6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    layout = make_layout(images=109, groups=13, rounds=options.rounds)
    values = make_block(layout)
    size = sum(block.nbytes for block in values.values()) / 1e6
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        clock = write_both(Path(folder), layout, values)
        chunks = Path(folder, "ours/study/store.zarr", NODE).rglob("c.0.0.*")
        stored = sum(path.stat().st_size for path in chunks) / 1e6
    print(f"{size:.1f} MB of numbers, {stored:.1f} MB in files, {machine()}")
    plain = np.array(clock.rounds["zarr-python"])
    print(f"zarr-python: {_rates(size, plain)}")
    taken = np.zeros_like(plain)
    for name in SHARD:
        step = np.array(clock.rounds[name])
        taken += step
        share, own = np.median(plain / taken, axis=0)
        print(
            f"shard, to {name}: {_rates(size, taken)}, {share:.0%} of zarr-python's rate "
            f"({own:.0%} per processor); this step took {1e3 * np.median(step[:, 0]):.1f} ms"
        )
    for name in ("fsync of zarr-python's files", "merge", "merge of nothing"):
        milliseconds = 1e3 * np.median(clock.rounds[name], axis=0)
        print(f"{name}: {milliseconds[0]:.0f} ms, {milliseconds[1]:.0f} ms of the processor")


def _rates(size: float, seconds: np.ndarray) -> str:
    clock, processor = size / np.median(seconds, axis=0)
    return f"{clock:.0f} MB/s by the clock, {processor:.0f} per processor"


def machine() -> str:
    """Where numbers come from."""
    return f"{os.cpu_count()} cores, zarr {zarr.__version__}, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
