"""What it takes to make a run's tables out of its curves: seconds and memory, of one process.

    python benchmarks/test_reduce.py

builds a store as large as the study's, with made-up curves (48 cells of 3 tasks, 144 images, 26
groups, 101 steps), and prints what `write_tables` takes of it, imports included, beside the limit:
by the clock, and of the processor, which says more on a busy machine. Three times.
As a test it runs once, small, and holds that all tables are written.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mtljobs.contracts import ExperimentLayout, TaskLayout
from mtljobs.ledger.files import to_json
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.plan.frozen import Cell, Plan, freeze_plan
from mtljobs.results import write_tables
from mtljobs.store.schema import Array, build_schema
from mtljobs.store.zarr_format import documents, encode, encode_labels

LIMIT_S, LIMIT_MB = 10.0, 1000.0
"""Of the study's grid."""

REDUCE = """
import time
begin = time.perf_counter()
import resource, sys
from pathlib import Path
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import write_tables
write_tables(RunFolder(Path(sys.argv[1])), allow_partial=False)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
seconds = time.perf_counter() - begin
print(f"{seconds:.1f} s, {time.process_time():.1f} s of the processor, {peak_mb:.0f} MB")
"""

TASKS = ("segmentation", "depth", "normals")
SPARSITIES = {
    "deeplab-disparse": (0.0, 0.5, 0.7, 0.8, 0.9),
    "segnet-netslim": (0.0, 0.5, 0.6, 0.7, 0.8, 0.9),
    "segnet-hrank": (0.0, 0.5, 0.75, 0.875, 0.9375),
}
SETTINGS = {
    "experiment": {"data": {"size": (288, 384)}, "explain": {"faithfulness": {"name": "irof"}}}
}
READ = {"irof", "status", "performance", "performance_constant", "n_segments"}
"""The arrays that tables are made from; all others stay unwritten."""


def write_run(run: RunFolder, *, images: int, groups: int, segments: int) -> RunFolder:
    """A run folder as the reduction finds it, complete but for the arrays that it does not read."""
    task = TaskLayout(
        groups=tuple(f"group-{index:02}" for index in range(groups)),
        metrics=("accuracy", "error"),
        lower_is_better=("error",),
        arrays={},
    )
    layouts = {
        name: ExperimentLayout(
            sparsities=sparsities,
            seeds=(0, 1, 2),
            images=tuple(f"test-{index:05}" for index in range(images)),
            block=min(images, 16),
            size=(8, 8),
            cam_size=(2, 2),
            segments_max=segments,
            tasks=dict.fromkeys(TASKS, task),
            layers=("encoder",),
            maps="scores",
            map_images=0,
            previews=0,
            inputs="5" * 64,
            settings=SETTINGS,
        )
        for name, sparsities in SPARSITIES.items()
    }
    cells = tuple(
        Cell(name, sparsity, seed, identity="c" * 64, network="e" * 64, shards=())
        for name, layout in layouts.items()
        for sparsity in layout.sparsities
        for seed in layout.seeds
    )
    plan = Plan("synthetic", cells, layouts, shards=(), resources={}, backend="zarr")
    freeze_plan(run, plan, previous=None)
    _write_store(run, layouts, segments=segments)
    return run


def _write_store(run: RunFolder, layouts: dict[str, ExperimentLayout], *, segments: int) -> None:
    schema = build_schema(layouts)
    generator = np.random.default_rng(0)
    for node in schema.values():
        for array in node.arrays.values():
            folder = create_folder(run.store / node.path / array.name)
            if array.labels is not None:
                chunks = encode_labels(array)
            elif array.name in READ:
                chunks = _made_up(array, generator, segments=segments)
            else:
                continue
            for name, content in chunks.items():
                (folder / name).write_bytes(content)
    for name, document in documents(schema).items():
        (run.store / name).write_bytes(to_json(document))


def _made_up(array: Array, generator: np.random.Generator, *, segments: int) -> dict[str, bytes]:
    """Chunks of an array: curves that fall less the denser the network is, groups that miss."""
    values = generator.random(array.shape, dtype="float32")
    match array.name:
        case "irof":
            values *= np.linspace(1.0, 1.2, array.shape[0])[:, None, None, None, None]
        case "status":
            values = np.where(values < np.linspace(1.0, 0.2, array.shape[-1]), 1, 2)
        case "n_segments":
            values = np.full(array.shape, segments)
    region = tuple(slice(0, length) for length in array.shape)
    return encode(array, region, values.astype(array.dtype))


def test_tables_of_a_synthetic_run_are_all_written(tmp_path: Path) -> None:
    run = write_run(RunFolder(tmp_path / "small"), images=4, groups=2, segments=5)
    folder = write_tables(run, allow_partial=False)
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.glob("*.csv")}
    assert lines == {
        "aoc.csv": 1 + 16 * 3,
        "aoc_groups.csv": 1 + 16 * 3 * 2,
        "performance.csv": 1 + 48 * 3 * 2,
        "comparisons.csv": 1 + (16 - 3) * 3,
        "declines.csv": 1 + 3 * 3,
        "correlations.csv": 1 + 3 * 3 * 2,
    }


def main() -> None:
    """Print what the study's grid takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = write_run(RunFolder(folder / "paper"), images=144, groups=26, segments=100)
        print(f"limit: {LIMIT_S:g} s, {LIMIT_MB:g} MB", flush=True)
        for _ in range(3):
            subprocess.run([sys.executable, "-c", REDUCE, str(run.root)], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
