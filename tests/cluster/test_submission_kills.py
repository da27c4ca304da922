"""A submission that is killed, again and again, and what the next one makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

NURSERY = Path(__file__).with_name("submission_nursery.py")
KILLS = os.environ.get("MTLJOBS_SUBMIT_KILLS", "8")
"""Lines of a submission at which it dies; it has about 200."""


def test_submit_killed_at_any_line_neither_loses_nor_doubles_a_job(tmp_path, fake_slurm, grid_file):
    changes = ("[0, 0.5]", "[0]"), ("seeds = [0]", "seeds = [0, 1]"), ("images = 4", "images = 2")
    done = subprocess.run(
        [sys.executable, str(NURSERY), str(grid_file(*changes)), str(tmp_path / "runs"), KILLS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout.splitlines()[-1])
    print(f"{sum(killed.values())} kills: {killed}")
    # Which lines wait for sbatch is not the same each time: the last one may not come.
    assert sum(killed.values()) >= int(KILLS) - 1
