"""How fast `mtljobs verify` reads a run: GB/s of its default level, and what one core can hash.

    python benchmarks/test_verify.py [--gb 1.0] [--folder /tmp]

makes two runs of so many GB of explanations, in bytes as random as compressed ones: one of small
shards (16 images, 13 groups, maps of 36 x 48), and one whose shards are about as large as those of
the paper's grid (7.3 GB in 144, before compression). It reads each once to warm the page cache, and
prints the rates of the default level, of hashing the same files and nothing else, and of SHA-256 in
memory, by the clock and by the processor's time, which tells more where others compute too; and the
seconds of `--quick`. As a test it runs once, small, and holds that every byte was counted and
nothing found.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mtljobs.contracts import ExperimentLayout, Shard, TaskLayout
from mtljobs.ledger.files import hash_file, remove_tree
from mtljobs.ledger.paths import RunFolder, Workspace, create_folder
from mtljobs.ledger.records import RECORD, make_record, write_record
from mtljobs.plan.cells import reduction
from mtljobs.plan.frozen import Plan, freeze_plan
from mtljobs.plan.networks import shard_identity
from mtljobs.results.verification import Verification, verify
from mtljobs.store.schema import build_schema
from mtljobs.store.staging import Staging
from mtljobs.store.verification import Level
from mtljobs.store.zarr_files import grow
from mtljobs.store.zarr_store import ZarrStore

SEEDS, BLOCKS = 100, 6
CURVE_BYTES = 90_000
"""Of each array of a block that is no map, once compressed."""

CAM_BYTES = {"small shards": 1_300_000, "shards of the paper's grid": 20_000_000}
"""Of a block's maps, once compressed."""


def make_layout() -> ExperimentLayout:
    """One task with 13 groups."""
    groups = tuple(f"class-{index}" for index in range(13))
    return ExperimentLayout(
        sparsities=(0.0,),
        seeds=tuple(range(SEEDS)),
        images=tuple(f"test-{index:05d}" for index in range(16 * BLOCKS)),
        block=16,
        size=(288, 384),
        cam_size=(36, 48),
        segments_max=120,
        tasks={"segmentation": TaskLayout(groups, ("miou",), (), {})},
        layers=("conv",),
        maps="native",
        map_images=16 * BLOCKS,
        previews=0,
        inputs="0" * 64,
        settings={},
    )


def make_run(folder: Path, *, shards: int, cam_bytes: int) -> tuple[RunFolder, Plan]:
    """A merged run of so many blocks."""
    layouts = {"study": make_layout()}
    workspace = Workspace(folder)
    run = workspace.run("study")
    planned = list(_plan_shards(shards))
    plan = Plan("", (), layouts, (*planned, reduction(tuple(planned))), {}, "zarr")
    freeze_plan(run, plan, previous=None)
    grow(run.store, build_schema(layouts), aside=create_folder(folder / "aside"))
    create_folder(run.ledger)
    for shard in planned:
        _write(run, plan, shard, cam_bytes=cam_bytes)
    return run, plan


def _plan_shards(count: int) -> Iterator[Shard]:
    for index in range(count):
        seed, block = divmod(index, BLOCKS)
        spec = {"stage": "explain", "index": index}
        identity = shard_identity(spec, {})
        name = f"explain-study-0-{seed}-{block}-{identity[:12]}"
        place = {"experiment": "study", "sparsity": 0, "seed": seed, "block": block}
        yield Shard(name, "explain", identity, False, (), {}, spec, place)


def _write(run: RunFolder, plan: Plan, shard: Shard, *, cam_bytes: int) -> None:
    """Put a shard's files and record where a merge would have moved them."""
    folder = create_folder(run.staging / shard.name)
    seed, block = shard.place["seed"], shard.place["block"]
    ok = np.ones((16, 13), dtype=np.uint8)
    Staging(folder, build_schema(plan.layouts), ZarrStore()).write(
        "study/segmentation", "status", ok, sparsity=0, seed=seed, block=block
    )
    random = np.random.default_rng([seed, block])
    chunk = f"c.0.{seed}.{block}.0"
    sizes = dict.fromkeys(("irof", "segment_score", "order"), CURVE_BYTES)
    files = {f"{array}/{chunk}.0": size for array, size in sizes.items()}
    for name, size in (files | {f"cam/{chunk}.0.0": cam_bytes}).items():
        path = folder / "study/segmentation" / name
        create_folder(path.parent)
        path.write_bytes(random.bytes(size))
    record = make_record(folder, shard=shard.name, identity=shard.identity, versions={})
    write_record(folder, record)
    for name in record.files:
        (folder / name).rename(run.store / name)
    (folder / RECORD).rename(run.ledger / f"{shard.name}.json")
    remove_tree(folder)


def check(run: RunFolder, plan: Plan, level: Level) -> Verification:
    return verify(run, Workspace(run.root.parent), plan, level=level, progress=lambda *_: None)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def describe_machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0]}, {len(names)} cores, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    print(describe_machine())
    for kind, cam_bytes in CAM_BYTES.items():
        print(f"{kind}:")
        measure_run(options.folder, size=options.gb * 1e9, cam_bytes=cam_bytes)


def measure_run(folder: Path | None, *, size: float, cam_bytes: int) -> None:
    """Make a run and print how fast it is checked."""
    shards = max(1, round(size / (cam_bytes + 3 * CURVE_BYTES)))
    with tempfile.TemporaryDirectory(dir=folder) as made:
        run, plan = make_run(
            Path(made) / "runs", shards=min(shards, SEEDS * BLOCKS), cam_bytes=cam_bytes
        )
        found = check(run, plan, "default")
        read = found.checked.bytes / 1e9
        print(f"{read:.2f} GB in {found.checked.files} files, {len(found.findings)} findings")
        whole = bytes(2**28)
        files = [path for path in run.store.rglob("c.*") if path.is_file()]
        for what, amount, work in (
            ("SHA-256 in memory", len(whole) / 1e9, lambda: hashlib.sha256(whole).digest()),
            ("the same files hashed alone", read, lambda: [hash_file(path) for path in files]),
            ("default level", read, lambda: check(run, plan, "default")),
        ):
            clock, processor = min(measure(work) for _ in range(3))
            rates = f"{amount / clock:.2f} GB/s by the clock, {amount / processor:.2f} per core"
            print(f"{what}: {rates}")
        clock, processor = measure(lambda: check(run, plan, "quick"))
        print(f"--quick: {clock:.2f} s by the clock, {processor:.2f} s of the processor")


def test_every_byte_of_a_made_run_is_read_and_nothing_is_found(tmp_path: Path) -> None:
    run, plan = make_run(tmp_path / "runs", shards=2, cam_bytes=1_000_000)
    found = check(run, plan, "default")
    assert found.findings == ()
    assert found.checked.files == 2 * 5
    assert found.checked.bytes > 2 * (1_000_000 + 3 * CURVE_BYTES)


if __name__ == "__main__":
    main()
