"""What is run while the image is built, run where the tests run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).resolve().parents[1] / "containers"


def smoke(*lock):
    command = [sys.executable, "-I", CONTAINERS / "smoke.py", *lock]
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


def test_interpreter_without_packages_is_told_apart_from_one_that_computes():
    result = smoke()
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("for an environment that is bound in: ok\n")


@pytest.mark.parametrize(
    ("stack", "said"), [("half", "full or host, received 'half'"), ("host", "needs nopython")]
)
def test_install_script_says_what_it_cannot_do(tmp_path, stack, said):
    script = tmp_path / "install.sh"
    script.write_bytes((CONTAINERS / "install.sh").read_bytes())
    command = ["sh", script, "nopython", stack]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert said in result.stderr


def test_host_stack_installs_an_interpreter_and_nothing_else(tmp_path):
    script = tmp_path / "install.sh"
    script.write_bytes((CONTAINERS / "install.sh").read_bytes())
    (tmp_path / "mtljobs-0.1.0-py3-none-any.whl").touch()
    subprocess.run(["sh", script, sys.executable, "host"], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["install.sh", "venv"]
    (packages,) = tmp_path.glob("venv/lib/python*/site-packages")
    assert list(packages.iterdir()) == []
    subprocess.run([tmp_path / "venv/bin/python", "-I", CONTAINERS / "smoke.py"], check=True)
