"""Killed processes, real signals: the programs in `kills/` do it, the claims stand here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLS = Path(__file__).with_name("kills")
SEED = int(os.environ.get("MTLJOBS_KILL_SEED", "1"))


def run_program(name: str, *arguments: object) -> Any:
    """What a program prints on its last line."""
    command = [sys.executable, str(KILLS / name), *map(str, arguments)]
    program = subprocess.run(command, capture_output=True, text=True, check=False)
    assert program.returncode == 0, program.stderr
    return json.loads(program.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_protocol_killed_at_random_instructions_leaves_the_bytes_of_an_undisturbed_store(
    tmp_path: Path, backend: str
) -> None:
    print(f"kill times from seed {SEED}; set MTLJOBS_KILL_SEED for others")
    found = run_program("at_random.py", tmp_path, SEED, backend)
    print(found)
    assert sum(found["killed"].values()) >= 60
    assert min(found["killed"][kind] for kind in ("block", "network", "merge")) >= 10
    assert found["duplicates"] >= 5
    # 12 cells of 20 blocks, 80 networks, 1 copy of the superpixels.
    assert found["records"] == 12 * 20 + 80 + 1
    assert found["different"] == []
    assert found["leftovers"] == []


@pytest.mark.parametrize(
    ("backend", "step", "situations"),
    [
        ("zarr", 1, ("block", "network", "merge", "requeue")),
        # What writes HDF5 takes its time: every third will do, where it differs at all.
        ("hdf5", 3, ("merge", "requeue")),
    ],
)
def test_protocol_killed_before_any_operation_on_a_file_is_finished_by_the_next_process(
    tmp_path: Path, backend: str, step: int, situations: tuple[str, ...]
) -> None:
    found = run_program("at_every_operation.py", tmp_path, backend, step, *situations)
    print(found)
    assert tuple(found) == situations
    for situation in found.values():
        assert situation["victims"] * step >= 20
        assert situation["different"] == []
        assert situation["leftovers"] == []
