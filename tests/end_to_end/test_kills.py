"""Killed workers, real signals, a real store."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path

NURSERY = Path(__file__).with_name("nursery.py")
EARLY_KILLS = 3
"""Per shard; one more may follow at any later moment."""
SEED = int(os.environ.get("MTLJOBS_KILL_SEED", "1"))


def test_pipeline_killed_at_random_moments_leaves_the_bytes_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    print(f"kill times from seed {SEED}; set MTLJOBS_KILL_SEED for others")
    nursery = subprocess.run(
        [sys.executable, str(NURSERY), "smoke", str(tmp_path), str(EARLY_KILLS), str(SEED)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert nursery.returncode == 0, nursery.stderr
    killed: dict[str, int] = json.loads(nursery.stdout.splitlines()[-1])
    print(f"{sum(killed.values())} kills: {killed}")
    assert sum(killed.values()) >= 25
    stages = {shard.split("-")[0] for shard in killed}
    assert stages == {"segment", "train", "prune", "evaluate", "explain", "reduce"}
    stores = [tmp_path / name / "smoke" / "store.zarr" for name in ("quiet", "killed")]
    assert_same_tree(*stores)
    networks, again = (networks_of(tmp_path / name) for name in ("quiet", "killed"))
    assert len(networks) == 7  # of two trainings, a cut and a tuning; a cut has no history
    assert networks == again
    for left in ("committed", "staging", "work"):
        assert not list((tmp_path / "killed" / "smoke" / left).glob("*")), left


def networks_of(workspace: Path) -> dict[Path, bytes]:
    """Weights of every network, and history of every training."""
    folder = workspace / "shared" / "networks"
    return {
        path.relative_to(folder): path.read_bytes()
        for name in ("weights.safetensors", "training.jsonl")
        for path in folder.glob(f"*/{name}")
    }


def assert_same_tree(first: Path, second: Path) -> None:
    names = {path.relative_to(first) for path in first.rglob("*")}
    assert names == {path.relative_to(second) for path in second.rglob("*")}
    files = [str(name) for name in sorted(names) if (first / name).is_file()]
    assert len(files) > 50
    same, different, unreadable = filecmp.cmpfiles(first, second, files, shallow=False)
    assert (different, unreadable) == ([], [])
    assert len(same) == len(files)
