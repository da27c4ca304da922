from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mtljobs.plan.shipped import shipped, shipped_grids

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds mtljobs as `pip install` of its wheel lays it out."""
    folder = tmp_path_factory.mktemp("site-packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "install", *alone, "--target", folder, CHECKOUT], check=True)
    return folder


def answer_of_installed(installed, expression, *, folder):
    """What an expression gives to a Python that stands in `folder` and imports the wheel."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r});"
        f"from mtljobs.plan.shipped import shipped, shipped_grids; print({expression})"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_checkout_ships_its_own_files():
    assert shipped("Apptainer.def") == CHECKOUT / "Apptainer.def"
    assert {"demo", "smoke"} <= set(shipped_grids())


def test_missing_file_is_named_with_what_is_there():
    with pytest.raises(FileNotFoundError, match=r"no 'jobs/missing\.toml'.*jobs/, containers/"):
        shipped("jobs/missing.toml")


def test_wheel_holds_every_shipped_file_of_the_checkout(installed):
    tracked = subprocess.run(
        ["git", "ls-files", "jobs", "containers", "Apptainer.def"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tracked.returncode != 0:
        pytest.skip("this checkout has no git to say which files are its own")
    names = tracked.stdout.split()
    inside = installed / "mtljobs/_shipped"
    assert "containers/compute.lock" in names
    assert [name for name in names if not (inside / name).is_file()] == []


def test_installed_wheel_finds_its_grids_from_any_folder(installed, tmp_path):
    path = answer_of_installed(installed, "shipped('jobs/smoke.toml')", folder=tmp_path)
    assert Path(path) == installed / "mtljobs/_shipped/jobs/smoke.toml"
    grids = answer_of_installed(installed, "','.join(shipped_grids())", folder=tmp_path)
    assert grids.split(",") == shipped_grids()


def test_wheel_installs_the_command(installed):
    assert (installed / "bin/mtljobs").is_file()
