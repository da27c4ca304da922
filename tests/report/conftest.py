from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mtljobs.ledger.paths import RunFolder
from mtljobs.report import write_report
from mtljobs.results import Tables, compute_tables


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The builder of small runs, which the tests of `results` keep."""
    path = Path(__file__).parents[1] / "results" / "synthetic_run.py"
    spec = importlib.util.spec_from_file_location("synthetic_run", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["synthetic_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stored_run(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run without its report."""
    return synthetic.write_run(RunFolder(tmp_path_factory.mktemp("workspace") / "stored"))


@pytest.fixture(scope="session")
def found(stored_run: RunFolder) -> Tables:
    """What `stored_run` comes to."""
    return compute_tables(stored_run, allow_partial=False)


@pytest.fixture(scope="session")
def reported_run(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run with its report; one of its experiments keeps no previews."""
    layouts = synthetic.make_layouts()
    layouts["segnet-hrank"] = dataclasses.replace(layouts["segnet-hrank"], previews=0)
    run = RunFolder(tmp_path_factory.mktemp("workspace") / "study")
    synthetic.write_run(run, layouts=layouts)
    write_report(run)
    return run
