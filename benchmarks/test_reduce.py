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

from benchmarks.paper_run import write_run
from mtljobs.ledger.paths import RunFolder
from mtljobs.results import write_tables

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
