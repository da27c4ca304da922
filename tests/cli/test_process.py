"""The command line as a process of its own, as few as it takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def shell(tmp_path):
    """Runs `python -m mtljobs` in an empty folder."""

    def run(*arguments):
        command = [sys.executable, "-m", "mtljobs", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_plan_of_a_shipped_grid_works_from_any_folder(shell, tmp_path):
    result = shell("plan", "--grid", "demo", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    experiments = {cell["experiment"] for cell in json.loads(result.stdout)["cells"]}
    assert experiments == {"deeplab-disparse", "segnet-netslim", "segnet-hrank"}
    assert list(tmp_path.iterdir()) == []


def test_mistake_ends_with_its_paragraph_and_code(shell):
    result = shell("plan", "--grid", "demoo")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("there is no grid 'demoo'")
    assert result.stderr.count("\n") == 1


def test_incomplete_run_ends_with_its_code(shell, submitted):
    run = submitted()
    result = shell("status", str(run.root))
    assert (result.returncode, result.stderr) == (3, "")
    assert "run study" in result.stdout
