"""Stores of every released format are read as they were, with and without this package."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mtljobs.results import aoc, open_run
from mtljobs.store.schema import SCHEMA_VERSION

FOLDER = Path(__file__).parent
ARCHIVES = sorted(FOLDER.glob("schema-*.zip"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, list[float]]]:
    """A store of an earlier release, and its mean areas as that release found them."""
    store = tmp_path / "store.zarr"
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(store)
    areas = json.loads(request.param.with_suffix(".json").read_text(encoding="utf-8"))
    return store, areas


def test_every_format_has_an_archive() -> None:
    assert [path.stem for path in ARCHIVES] == [f"schema-{n}" for n in range(1, SCHEMA_VERSION + 1)]


def test_an_old_store_has_the_areas_that_it_had(archive) -> None:
    store, areas = archive
    found = {
        node.path: node["aoc"].mean(("seed", "image", "group")).values
        for node in aoc(open_run(store)).leaves
    }
    assert found.keys() == areas.keys()
    for path, values in areas.items():
        assert found[path] == pytest.approx(values, abs=1e-6), path


def test_an_old_store_opens_with_xarray_and_zarr_alone(archive) -> None:
    store, areas = archive
    script = FOLDER / "read_with_xarray_alone.py"
    answer = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(store)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found.keys() == areas.keys()
    for path, values in areas.items():
        assert found[path] == pytest.approx(values, abs=1e-6), path
