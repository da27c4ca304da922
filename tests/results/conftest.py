from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mtljobs.ledger.paths import RunFolder


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The builder of small runs beside this file."""
    path = Path(__file__).parent / "synthetic_run.py"
    spec = importlib.util.spec_from_file_location("synthetic_run", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["synthetic_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stored_run(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run on disk, shared by the tests that only read it."""
    return synthetic.write_run(RunFolder(tmp_path_factory.mktemp("workspace") / "study"))


@pytest.fixture(scope="session")
def true_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run, with records; tests only read it."""
    return synthetic.write_true_run(RunFolder(tmp_path_factory.mktemp("workspace") / "study"))


@pytest.fixture(scope="session")
def small_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one experiment and one task, whose maps are kept as halves."""
    layout = synthetic.make_layouts()["segnet-hrank"]
    tasks = {"depth": layout.tasks["depth"]}
    layout = dataclasses.replace(layout, maps="half", tasks=tasks)
    folder = tmp_path_factory.mktemp("workspace") / "small"
    return synthetic.write_true_run(RunFolder(folder), layouts={"segnet-hrank": layout})


@pytest.fixture
def spoilt(small_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the small run, named `copied`, to be damaged."""
    shutil.copytree(small_run.root, tmp_path / "copied")
    return RunFolder(tmp_path / "copied")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to export to: nothing else is in its folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x"
