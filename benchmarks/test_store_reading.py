"""What a researcher waits for: a run to open, one map, all curves.

    python benchmarks/test_store_reading.py

builds a run as large as the study's (48 cells of 3 tasks, 144 images and 26 groups: 539,136 maps
of 36 x 48 or 288 x 384, curves of 101 steps), and prints, beside the limits: `open_run` in a fresh
process, which imports everything first, and again in one that has; one map by `.sel` out of an
open run, for either size, beside what zarr-python takes of that; the curves of all cells. Files are
in the page cache; the median counts, of 50 for a map. As a test it runs once, small, and holds that
what is read is what was made.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from benchmarks.paper_run import CAM_SIZES, write_run
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import open_run
from mtljobs.results.run import task_nodes
from mtljobs.store.variables import ITEM

OPEN_LIMIT_S, MAP_LIMIT_S, CURVES_LIMIT_S = 1.0, 0.005, 5.0

FRESH = """
import time
begin = time.perf_counter()
import sys
from mtljobs.results import open_run
imported = time.perf_counter()
open_run(sys.argv[1])
end = time.perf_counter()
print(end - begin, end - imported)
"""


def open_fresh(run: RunFolder) -> tuple[float, float]:
    """Seconds to open a run in a new interpreter, with imports and without."""
    command = [sys.executable, "-c", FRESH, str(run.root)]
    whole, opening = subprocess.check_output(command, text=True).split()  # noqa: S603
    return float(whole), float(opening)


def draw_labels(task: xr.DataTree, random: np.random.Generator) -> dict[str, Any]:
    """The labels of a random item of a task."""
    return {axis: random.choice(task[axis].values) for axis in ITEM}


def read_map(task: xr.DataTree, labels: Mapping[str, Any]) -> np.ndarray:
    """One map, selected as a researcher does."""
    values: np.ndarray = task["cam"].sel(labels).values
    return values


def read_curves(run: xr.DataTree) -> dict[tuple[str, str], np.ndarray]:
    """Every curve of a run."""
    return {place: task["irof"].values for place, task in task_nodes(run)}


def measure(calls: Iterable[Callable[[], object]]) -> tuple[float, float]:
    """Seconds of a call by the clock and of the processor, each the median."""
    taken = []
    for call in calls:
        begin = np.array([time.perf_counter(), time.process_time()])
        call()
        taken.append(np.array([time.perf_counter(), time.process_time()]) - begin)
    clock, processor = np.median(taken, axis=0)
    return float(clock), float(processor)


def test_maps_and_curves_of_a_made_run_are_read(tmp_path: Path) -> None:
    folder = write_run(RunFolder(tmp_path / "small"), images=4, groups=2, segments=5, maps="native")
    run = open_run(folder.root)
    for name, size in CAM_SIZES.items():
        task = run[f"{name}/depth"]
        drawn = read_map(task, draw_labels(task, np.random.default_rng(0)))
        assert drawn.shape == size
        assert drawn.min() == 0 < drawn.max()
    curves = read_curves(run)
    assert sum(values[..., 0].size for values in curves.values()) == 48 * 3 * 4 * 2
    assert all(np.isfinite(values).all() for values in curves.values())


def main() -> None:
    """Print what the study's grid takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_run(
            RunFolder(Path(name) / "paper"), images=144, groups=26, segments=100, maps="native"
        )
        run = open_run(folder.root)
        maps = sum(task["status"].size for _, task in task_nodes(run))
        print(f"{maps:,} maps, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        whole, opening = np.median([open_fresh(folder) for _ in range(5)], axis=0)
        warm, _ = measure([lambda: open_run(folder.root)] * 5)
        print(f"open_run, limit {OPEN_LIMIT_S:g} s: {opening:.2f} s in a fresh process", end=" ")
        print(f"({whole:.2f} s with its imports), {warm:.2f} s again")
        for experiment in ("deeplab-disparse", "segnet-hrank"):
            print_map(folder, run, f"{experiment}/segmentation")
        clock, processor = measure([lambda: read_curves(open_run(folder.root))] * 3)
        print(f"all curves, limit {CURVES_LIMIT_S:g} s: {clock:.2f} s, opening included", end=" ")
        print(f"({processor:.2f} s of the processor)")


def print_map(folder: RunFolder, run: xr.DataTree, place: str) -> None:
    """Print what one map takes by `.sel`, and what zarr-python takes of that."""
    random = np.random.default_rng(0)
    task = run[place]
    labels = [draw_labels(task, random) for _ in range(50)]
    stored = zarr.open_array(folder.store / place / "cam", mode="r")
    places = [tuple(int(random.integers(length)) for length in stored.shape[:4]) for _ in labels]
    rows, columns = stored.shape[4:]
    print(f"one map of {rows} x {columns}, limit {1e3 * MAP_LIMIT_S:g} ms:")
    for name, calls in {
        "by .sel": [partial(read_map, task, chosen) for chosen in labels],
        "by zarr-python, of an open array": [partial(stored.__getitem__, at) for at in places],
    }.items():
        clock, processor = measure(calls)
        print(f"    {1e3 * clock:.1f} ms {name} ({1e3 * processor:.1f} ms of the processor)")


if __name__ == "__main__":
    main()
