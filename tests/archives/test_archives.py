"""Stores of every released format are read as they were, with and without this package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtljobs.results import aoc, open_run
from mtljobs.settings.store import Store
from mtljobs.store.schema import SCHEMA_VERSION

FOLDER = Path(__file__).parent
ARCHIVES = sorted(FOLDER.glob("schema-*.zip"))
SCRIPT = FOLDER / "read_with_xarray_alone.py"
STORES = {"store.zarr": "zarr", "store.h5": "h5netcdf"}
"""Name in an archive -> xarray's engine for it."""

Found = dict[str, dict[str, Any]]


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Found]:
    """A folder with an earlier release's stores, and what that release found in them."""
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(tmp_path)
    return tmp_path, json.loads(request.param.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def describe() -> Callable[..., Found]:
    """The script's function, for trees that our own function opened."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.describe


def assert_same(found: Found, expected: Found) -> None:
    """All but areas are as they were to the last digit: a sum depends on its order."""
    assert found.keys() == expected.keys()
    for path, node in expected.items():
        areas = {"areas": pytest.approx(node["areas"], abs=1e-6)} if "areas" in node else {}
        assert found[path] == node | areas, path


def test_every_format_has_an_archive_of_every_backend() -> None:
    assert [path.stem for path in ARCHIVES] == [f"schema-{n}" for n in range(1, SCHEMA_VERSION + 1)]
    for path in ARCHIVES:
        names = {name.split("/")[0] for name in zipfile.ZipFile(path).namelist()}
        assert names == STORES.keys()
    assert len(STORES) == len(Store.implementations)


@pytest.mark.parametrize("store", STORES)
def test_an_old_store_holds_what_it_held(archive, describe, store: str) -> None:
    folder, expected = archive
    run = open_run(folder / store)
    assert_same(describe(run), expected)
    for node in aoc(run).leaves:
        areas = node["aoc"].mean(("seed", "image", "group")).values
        assert areas == pytest.approx(expected[node.path]["areas"], abs=1e-6), node.path


def test_what_is_expected_of_a_task_is_neither_empty_nor_all_alike(archive) -> None:
    tasks = [node for node in archive[1].values() if "status" in node]
    assert tasks
    for node in tasks:
        assert len(np.unique(node["status"])) > 1
        assert np.ptp(node["map"]) > 1
        assert np.ptp(node["areas"]) > 0.01


@pytest.mark.parametrize(("store", "engine"), STORES.items())
def test_an_old_store_opens_with_xarray_alone(archive, store: str, engine: str) -> None:
    folder, expected = archive
    answer = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), str(folder / store), engine],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert_same(json.loads(answer.stdout), expected)
