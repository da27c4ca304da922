"""The image's own test, run where the tests run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[1] / "containers"


def smoke(lock):
    command = [sys.executable, "-I", CONTAINERS / "smoke.py", lock]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_locked_environment_computes():
    result = smoke(CONTAINERS / "compute.lock")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("ok\n")


def test_environment_of_another_lock_is_named(tmp_path):
    lock = tmp_path / "compute.lock"
    lock.write_text("numpy==1.0.0 \\\n    --hash=sha256:0\n")
    result = smoke(lock)
    assert result.returncode == 1
    assert "numpy is 2." in result.stderr
    assert "says 1.0.0: build the image again" in result.stderr
